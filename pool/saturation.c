/* When the load is more than the pool may have workers for; see saturation.h. */
#include "pool/saturation.h"

#include "pool/slot.h"

void saturation_init(struct saturation *saturation)
{
    *saturation = (struct saturation){0};
}

void saturation_see(struct saturation *saturation, struct stats *stats, bool over, uint64_t requests,
                    int64_t now_ms)
{
    if (saturation->over && over) {
        stats->saturated_ms += (uint64_t)(now_ms - saturation->seen_ms);
        stats->saturated_requests += requests - saturation->requests;
    }
    bool begins = over && saturation->over && !saturation->lasts;
    stats->saturated += begins;
    saturation->lasts = saturation->lasts || begins;
    saturation->over = over;
    saturation->seen_ms = now_ms;
    saturation->requests = requests;
    if (over)
        saturation->over_ms = now_ms;
}

void saturation_pass(struct saturation *saturation, int64_t now_ms)
{
    if (saturation_deadline(saturation) <= now_ms)
        saturation->lasts = false;
}

int64_t saturation_deadline(const struct saturation *saturation)
{
    return saturation->lasts && !saturation->over ? saturation->over_ms + SATURATION_REST_MS : NEVER_MS;
}
