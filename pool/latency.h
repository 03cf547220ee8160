/*
 * How long requests took: a histogram by logarithm (the buckets are those of pool/page.h), which can be added
 * up over workers, and subtracted to see what was new in a while. Counts saturate, for a worker may claim
 * any.
 */
#ifndef FCGIPOOL_POOL_LATENCY_H
#define FCGIPOOL_POOL_LATENCY_H

#include "pool/page.h"

#include <stdint.h>

/* Zero-initialized: nothing measured. */
struct latency {
    uint64_t buckets[PAGE_BUCKETS]; /* by page_bucket of the time of service */
};

/* total += more */
void latency_add(struct latency *total, const struct latency *more);

/* total -= less, no count below 0. */
void latency_subtract(struct latency *total, const struct latency *less);

/* How many were measured. */
uint64_t latency_count(const struct latency *latency);

/* The mean time in microseconds, each counted as the middle of its bucket. 0 when nothing was measured. */
uint64_t latency_mean(const struct latency *latency);

/* The time in microseconds within which `permille` (0 to 1000) of them were served: the middle of the bucket
 * that holds the last of these, so it is exact below 16 us and within 6.3 % above; of the last bucket it is
 * the lower bound. 0 when nothing was measured. */
uint64_t latency_percentile(const struct latency *latency, unsigned permille);

#endif
