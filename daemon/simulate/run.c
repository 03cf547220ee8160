/* Runs a trace under a manager; see run.h. */
#include "daemon/simulate/run.h"

#include "daemon/simulate/ours.h"

#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    int64_t first = *(const int64_t *)a, second = *(const int64_t *)b;
    return (first > second) - (first < second);
}

/* The wait that so many percent of the requests do not exceed: the least one of which that is true. */
static int64_t percentile(const struct world *world, size_t percent)
{
    size_t count = world->trace->count;
    return count ? world->waits_us[(count * percent + 99) / 100 - 1] : 0;
}

static uint64_t count_unserved(struct world *world)
{
    uint64_t unserved = 0;
    for (size_t i = 0; i < world->trace->count; i++) {
        if (world->waits_us[i] >= 0)
            continue;
        world->waits_us[i] = world->now_us - world->trace->items[i].at_us;
        unserved++;
    }
    return unserved;
}

void run_one(const struct trace *trace, const struct settings *settings, int64_t start_us,
             struct manager *manager, struct run_outcome *ret_outcome)
{
    struct world world;
    world_init(&world, trace, ours_slots(settings), (uint32_t)settings->workers_max, start_us);
    world_run(&world, manager);
    uint64_t unserved = count_unserved(&world);
    qsort(world.waits_us, trace->count, sizeof *world.waits_us, compare);
    *ret_outcome = (struct run_outcome){.name = manager->name,
                                        .p50_us = percentile(&world, 50),
                                        .p95_us = percentile(&world, 95),
                                        .p99_us = percentile(&world, 99),
                                        .max_us = percentile(&world, 100),
                                        .unserved = unserved,
                                        .worker_us = world.worker_us,
                                        .spawns = world.spawns,
                                        .largest = world.largest,
                                        .saturated_us = world.saturated_us,
                                        .track = world.track};
    world_fini(&world);
}
