/* What a pool has done of late; see tally.h. */
#include "pool/tally.h"

#include <stddef.h>

void tally_init(struct tally *tally, int64_t now_ms)
{
    *tally = (struct tally){.span_ms = now_ms};
}

void tally_add(struct tally *tally, uint64_t requests, const struct latency *service, int64_t now_ms)
{
    tally->samples[tally->next] = (struct tally_sample){.at_ms = now_ms, .requests = requests};
    tally->next = (tally->next + 1) % TALLY_SAMPLES;
    tally->count += tally->count < TALLY_SAMPLES;
    if (now_ms - tally->span_ms >= TALLY_SERVICE_MS) {
        tally->before[0] = tally->before[1];
        tally->before[1] = *service;
        tally->span_ms = now_ms;
    }
}

/* The oldest sample that is recent, or NULL. */
static const struct tally_sample *oldest(const struct tally *tally, int64_t now_ms)
{
    for (unsigned age = tally->count; age > 0; age--) {
        const struct tally_sample *sample =
            &tally->samples[(tally->next + TALLY_SAMPLES - age) % TALLY_SAMPLES];
        if (now_ms - sample->at_ms <= TALLY_RATE_MS)
            return sample;
    }
    return NULL;
}

uint64_t tally_rate_milli(const struct tally *tally, uint64_t requests, int64_t now_ms)
{
    const struct tally_sample *sample = oldest(tally, now_ms);
    if (!sample || requests < sample->requests)
        return 0;
    /* What has just begun is not yet to be called so many a second. */
    int64_t span_ms = now_ms - sample->at_ms;
    return (requests - sample->requests) * 1000000 / (uint64_t)(span_ms > 1000 ? span_ms : 1000);
}

void tally_recent(const struct tally *tally, const struct latency *service, struct latency *ret_recent)
{
    *ret_recent = *service;
    latency_subtract(ret_recent, &tally->before[0]);
}
