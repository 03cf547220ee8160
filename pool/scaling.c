/* How many workers the load asks for; see scaling.h. */
#include "pool/scaling.h"

#include "pool/assert.h"
#include "pool/slot.h"

/* Nobody is needed for a wait that is not longer. */
#define PATIENCE_US 20000

/* What is called the average is mostly of this time. */
#define AVERAGE_MS 10000

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
static uint64_t places_for_queue(const struct scaling *scaling, const struct load *load, int64_t now_ms)
{
    uint64_t start_us = scaling->start_us, service_us = load->service_us;
    uint64_t patience_us = start_us > PATIENCE_US ? start_us : PATIENCE_US;
    if (!service_us || (uint64_t)(now_ms - scaling->moved_ms) * 1000 > patience_us)
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

static void watch_queue(struct scaling *scaling, const struct load *load, int64_t now_ms)
{
    if (!load->queued || load->accepts != scaling->load.accepts)
        scaling->moved_ms = now_ms;
}

/* From look to look the demand is taken to be what it was at the first of them. */
static void average(struct scaling *scaling, uint32_t present, int64_t now_ms)
{
    int64_t part_ms = now_ms - scaling->seen_ms;
    if (part_ms > AVERAGE_MS)
        part_ms = AVERAGE_MS;
    scaling->mean_milli += ((int64_t)scaling->present * 1000 - scaling->mean_milli) * part_ms / AVERAGE_MS;
    scaling->present = present;
    scaling->seen_ms = now_ms;
}

/* ---- spare ---- */

static uint32_t root_up(uint64_t square, uint32_t most)
{
    uint32_t root = 0;
    while (root < most && (uint64_t)root * root < square)
        root++;
    return root;
}

/* Twice the root of the requests that come while a worker starts. */
static uint32_t spare_beside_mean(const struct scaling *scaling, uint32_t mean, uint32_t most)
{
    uint64_t start_us = scaling->start_us, service_us = scaling->load.service_us;
    if (!start_us || !service_us)
        start_us = service_us = 1;
    return root_up(divide_up(4 * mean * start_us, service_us), most);
}

static uint32_t spare_for(const struct scaling *scaling, const struct settings *settings)
{
    uint32_t most = (uint32_t)settings->workers_max;
    uint32_t mean = smaller((uint64_t)(scaling->mean_milli + 500) / 1000, most);
    bool alone = scaling->demand == 1 && scaling->start_us && scaling->start_us <= PATIENCE_US;
    if (settings->workers_spare != SETTING_AUTO)
        return (uint32_t)settings->workers_spare;
    if (scaling->demand == 0)
        return 0;
    mean += spare_beside_mean(scaling, mean, most);
    return larger(alone ? 0 : 1, mean > scaling->demand ? mean - scaling->demand : 0);
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

static uint32_t asked_last(const struct scaling *scaling)
{
    return smaller((uint64_t)scaling->demand + scaling->spare, UINT32_MAX);
}

void scaling_see(struct scaling *scaling, const struct settings *settings, const struct load *load,
                 int64_t now_ms)
{
    ASSERT(load->busy <= load->peak);
    watch_queue(scaling, load, now_ms);
    scaling->load = *load;
    scaling->load.busy_slots = NULL;
    average(scaling, workers_for(load, load->busy + places_for_queue(scaling, load, now_ms)), now_ms);
    scaling->demand = larger(scaling->present, workers_for(load, load->peak));
    scaling->spare = spare_for(scaling, settings);
    scaling_ask(scaling, asked_last(scaling), now_ms);
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
    return larger(larger(least, asked_last(scaling)), scaling->peak_count ? scaling->peaks[0].workers : 0);
}

int64_t scaling_deadline(const struct scaling *scaling, const struct settings *settings)
{
    return scaling->peak_count ? scaling->peaks[0].at_ms + settings->idle_timeout_ms : NEVER_MS;
}
