/* Counting places; see load.h. */
#include "pool/load.h"

static uint32_t clamp(int64_t number, uint32_t high)
{
    return (uint32_t)(number < 0 ? 0 : number > high ? high : number);
}

void load_count(struct load *load, int64_t idle, int64_t low)
{
    uint32_t now = clamp(idle, load->places);
    load->busy = load->places - now;
    load->peak = load->places - clamp(low, now);
}

bool load_is_full(const struct load *load)
{
    return load->queued > 0 || (load->workers > 0 && load->busy >= load->places);
}
