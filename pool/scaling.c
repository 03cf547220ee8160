/* How many workers the load asks for; see scaling.h. */
#include "pool/scaling.h"

#include "pool/assert.h"
#include "pool/slot.h"

/* A queue that is gone within this time needs nobody more. */
#define PATIENCE_US 20000

/* A start weighs an eighth of what was known before. */
#define SMOOTHING 8

static uint32_t smaller(uint64_t a, uint64_t b)
{
    return (uint32_t)(a < b ? a : b);
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static uint64_t divide_up(uint64_t a, uint64_t b)
{
    return (a + b - 1) / b;
}

void scaling_init(struct scaling *scaling)
{
    *scaling = (struct scaling){0};
}

void scaling_started(struct scaling *scaling, int64_t ms)
{
    uint32_t us = smaller(ms > 0 ? (uint64_t)ms * 1000 : 500, UINT32_MAX);
    if (!scaling->start_us)
        scaling->start_us = us;
    else
        scaling->start_us += us / SMOOTHING - scaling->start_us / SMOOTHING;
}

/* ---- demand ---- */

/* Places that are to work on the queue so that it is gone by the time when a new worker could take from it,
 * and soon after. */
static uint64_t places_for_queue(const struct scaling *scaling, const struct load *load)
{
    uint64_t start_us = scaling->start_us, service_us = load->service_us;
    uint64_t patience_us = start_us > PATIENCE_US ? start_us : PATIENCE_US;
    if (!service_us)
        return load->queued;
    uint64_t served = load->busy * start_us / service_us;
    if (served >= load->queued)
        return 0;
    return divide_up(load->queued - served, patience_us > service_us ? patience_us / service_us : 1);
}

static uint32_t workers_for(const struct load *load, uint64_t places)
{
    if (load->places <= load->workers)
        return smaller(places, UINT32_MAX);
    return smaller(divide_up(places * load->workers, load->places), UINT32_MAX);
}

/* ---- spare ---- */

static uint32_t root_up(uint64_t square)
{
    uint32_t root = 0;
    while ((uint64_t)root * root < square)
        root++;
    return root;
}

/* Demand varies by its square root within a time of service, by less within a shorter time. */
static uint32_t spare_for(const struct scaling *scaling, const struct settings *settings, uint32_t demand)
{
    uint64_t part_us = scaling->start_us, whole_us = scaling->load.service_us;
    if (settings->workers_spare != SETTING_AUTO)
        return (uint32_t)settings->workers_spare;
    if (demand == 0)
        return 0;
    demand = smaller(demand, (uint64_t)settings->workers_max);
    if (!part_us || !whole_us || part_us > whole_us)
        part_us = whole_us = 1;
    return larger(1, root_up(divide_up(4 * demand * part_us, whole_us)));
}

/* ---- the past ---- */

void scaling_ask(struct scaling *scaling, uint32_t workers, int64_t now_ms)
{
    uint32_t count = scaling->peak_count;
    while (count && scaling->peaks[count - 1].workers <= workers)
        count--;
    if (count == SCALING_PEAKS) { /* the last one stands for this one, too */
        scaling->peaks[count - 1].at_ms = now_ms;
    } else if (workers) {
        scaling->peaks[count].at_ms = now_ms;
        scaling->peaks[count].workers = workers;
        count++;
    }
    scaling->peak_count = count;
}

void scaling_see(struct scaling *scaling, const struct settings *settings, const struct load *load,
                 int64_t now_ms)
{
    ASSERT(load->busy <= load->peak);
    scaling->load = *load;
    scaling->load.busy_slots = NULL;
    scaling->demand = larger(workers_for(load, load->busy + places_for_queue(scaling, load)),
                             workers_for(load, load->peak));
    scaling->spare = spare_for(scaling, settings, scaling->demand);
    scaling->asked = smaller((uint64_t)scaling->demand + scaling->spare, UINT32_MAX);
    scaling_ask(scaling, scaling->asked, now_ms);
}

void scaling_forget(struct scaling *scaling, const struct settings *settings, int64_t now_ms)
{
    uint32_t past = 0;
    while (past < scaling->peak_count && scaling->peaks[past].at_ms + settings->idle_timeout_ms <= now_ms)
        past++;
    scaling->peak_count -= past;
    for (uint32_t i = 0; past && i < scaling->peak_count; i++)
        scaling->peaks[i] = scaling->peaks[i + past];
}

/* What was seen last is so until the next look, however short idle_timeout is: while there is work there will
 * be one. */
uint32_t scaling_asked(const struct scaling *scaling, const struct settings *settings)
{
    uint32_t least = settings->workers_spare == SETTING_AUTO ? 0 : (uint32_t)settings->workers_spare;
    return larger(larger(least, scaling->asked), scaling->peak_count ? scaling->peaks[0].workers : 0);
}

int64_t scaling_deadline(const struct scaling *scaling, const struct settings *settings)
{
    return scaling->peak_count ? scaling->peaks[0].at_ms + settings->idle_timeout_ms : NEVER_MS;
}
