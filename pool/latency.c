/* Histograms of times of service; see latency.h. */
#include "pool/latency.h"

#include "pool/assert.h"

static uint64_t sum(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

void latency_add(struct latency *total, const struct latency *more)
{
    for (unsigned i = 0; i < PAGE_BUCKETS; i++)
        total->buckets[i] = sum(total->buckets[i], more->buckets[i]);
}

void latency_subtract(struct latency *total, const struct latency *less)
{
    for (unsigned i = 0; i < PAGE_BUCKETS; i++)
        total->buckets[i] = total->buckets[i] > less->buckets[i] ? total->buckets[i] - less->buckets[i] : 0;
}

uint64_t latency_count(const struct latency *latency)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < PAGE_BUCKETS; i++)
        count = sum(count, latency->buckets[i]);
    return count;
}

/* The smallest duration that page_bucket puts into `bucket`. */
static uint64_t lower_bound(unsigned bucket)
{
    if (bucket < 2 * PAGE_BUCKETS_OCTAVE)
        return bucket;
    unsigned octave = bucket / PAGE_BUCKETS_OCTAVE - 1;
    return (uint64_t)(bucket - octave * PAGE_BUCKETS_OCTAVE) << octave;
}

static uint64_t middle(unsigned bucket)
{
    uint64_t lower = lower_bound(bucket);
    if (bucket == PAGE_BUCKETS - 1)
        return lower;
    return lower + (lower_bound(bucket + 1) - lower) / 2;
}

uint64_t latency_mean(const struct latency *latency)
{
    double total = 0, count = 0;
    for (unsigned i = 0; i < PAGE_BUCKETS; i++) {
        total += (double)latency->buckets[i] * (double)middle(i);
        count += (double)latency->buckets[i];
    }
    return count > 0 ? (uint64_t)(total / count) : 0;
}

/* permille / 1000 of the count, rounded up; without an overflow. */
static uint64_t rank(uint64_t count, unsigned permille)
{
    return count / 1000 * permille + (count % 1000 * permille + 999) / 1000;
}

uint64_t latency_percentile(const struct latency *latency, unsigned permille)
{
    ASSERT(permille <= 1000);
    uint64_t count = latency_count(latency), wanted = rank(count, permille), seen = 0;
    if (count == 0)
        return 0;
    unsigned bucket = 0;
    while ((seen = sum(seen, latency->buckets[bucket])) < wanted || seen == 0)
        bucket++;
    return middle(bucket);
}
