/* A pool in a virtual world; see world.h. */
#include "daemon/simulate/world.h"

#include "daemon/base/memory.h"
#include "pool/assert.h"

/* So long after the end of the trace who still waits is not waited for. */
#define PATIENCE_US INT64_C(3600000000)

enum { READY, DONE, GONE }; /* of the agenda */

void world_init(struct world *world, const struct trace *trace, uint32_t slot_count, uint32_t max,
                int64_t start_us)
{
    *world = (struct world){.trace = trace,
                            .start_us = start_us,
                            .max = max,
                            .slot_count = slot_count,
                            .first_idle = WORLD_NONE,
                            .last_idle = WORLD_NONE};
    world->workers = memory_must(calloc(slot_count, sizeof *world->workers));
    world->waits_us = memory_must(calloc(trace->count + 1, sizeof *world->waits_us));
    for (size_t i = 0; i < trace->count; i++)
        world->waits_us[i] = -1;
    track_init(&world->track, trace->end_us);
}

void world_fini(struct world *world)
{
    free(world->workers);
    free(world->waits_us);
    agenda_fini(&world->agenda);
}

/* ---- what there is ---- */

uint32_t world_live(const struct world *world)
{
    return world->starting + world->idle + world->busy;
}

uint32_t world_staying(const struct world *world)
{
    return world_live(world) - world->leaving;
}

uint32_t world_queue(const struct world *world)
{
    return (uint32_t)(world->arrived - world->taken);
}

int64_t world_busy_us(const struct world *world, uint32_t slot)
{
    const struct world_worker *worker = &world->workers[slot];
    return worker->busy_us + (worker->state == WORLD_BUSY ? world->now_us - worker->since_us : 0);
}

uint32_t world_free_slot(const struct world *world)
{
    for (uint32_t i = 0; i < world->slot_count; i++)
        if (world->workers[i].state == WORLD_EMPTY)
            return i;
    return WORLD_NONE;
}

/* ---- idle workers, in the order in which they began to wait ---- */

static void begin_to_wait(struct world *world, uint32_t slot)
{
    struct world_worker *worker = &world->workers[slot];
    worker->state = WORLD_IDLE;
    worker->since_us = world->now_us;
    worker->before = world->last_idle;
    worker->after = WORLD_NONE;
    if (world->last_idle == WORLD_NONE)
        world->first_idle = slot;
    else
        world->workers[world->last_idle].after = slot;
    world->last_idle = slot;
    world->idle++;
}

static void end_to_wait(struct world *world, uint32_t slot)
{
    struct world_worker *worker = &world->workers[slot];
    ASSERT(worker->state == WORLD_IDLE);
    *(worker->before == WORLD_NONE ? &world->first_idle : &world->workers[worker->before].after) =
        worker->after;
    *(worker->after == WORLD_NONE ? &world->last_idle : &world->workers[worker->after].before) =
        worker->before;
    world->idle--;
    if (world->idle < world->idle_low)
        world->idle_low = world->idle;
}

/* ---- requests ---- */

static void take(struct world *world, uint32_t slot)
{
    struct world_worker *worker = &world->workers[slot];
    const struct trace_request *request = &world->trace->items[world->taken];
    world->waits_us[world->taken++] = world->now_us - request->at_us;
    worker->state = WORLD_BUSY;
    worker->since_us = world->now_us;
    worker->service_us = request->service_us;
    world->busy++;
    agenda_add(&world->agenda, world->now_us + request->service_us, DONE, slot, worker->life);
}

/* Free for the next request. */
static void is_free(struct world *world, uint32_t slot)
{
    if (world_queue(world))
        take(world, slot);
    else
        begin_to_wait(world, slot);
}

static void arrives(struct world *world)
{
    uint32_t slot = world->first_idle;
    world->arrived++;
    if (slot == WORLD_NONE)
        return;
    end_to_wait(world, slot);
    take(world, slot);
}

/* ---- workers ---- */

void world_spawn(struct world *world, uint32_t slot)
{
    struct world_worker *worker = &world->workers[slot];
    ASSERT(slot < world->slot_count && worker->state == WORLD_EMPTY);
    *worker = (struct world_worker){.state = WORLD_STARTING,
                                    .life = ++world->spawns,
                                    .spawned_us = world->now_us,
                                    .since_us = world->now_us};
    world->starting++;
    if (world_live(world) > world->largest)
        world->largest = world_live(world);
    agenda_add(&world->agenda, world->now_us + world->start_us, READY, slot, worker->life);
}

void world_retire(struct world *world, uint32_t slot)
{
    struct world_worker *worker = &world->workers[slot];
    ASSERT(slot < world->slot_count && worker->state != WORLD_EMPTY && !worker->retired);
    worker->retired = true;
    world->leaving++;
    if (worker->state == WORLD_BUSY)
        return;
    if (worker->state == WORLD_IDLE) { /* nobody may give it a request any more */
        end_to_wait(world, slot);
        worker->state = WORLD_STARTING;
        world->starting++;
    }
    agenda_add(&world->agenda, world->now_us, GONE, slot, worker->life);
}

static void goes(struct world *world, uint32_t slot)
{
    struct world_worker *worker = &world->workers[slot];
    world->worker_us += world->now_us - worker->spawned_us;
    world->leaving--;
    worker->state = WORLD_EMPTY;
}

/* Returns what the manager is to be told, or WORLD_BEGIN: nothing. */
static enum world_event becomes_true(struct world *world, const struct agenda_entry *entry)
{
    struct world_worker *worker = &world->workers[entry->slot];
    if (worker->state == WORLD_EMPTY || worker->life != entry->life)
        return WORLD_BEGIN;
    if (entry->what == READY && worker->retired)
        return WORLD_BEGIN;
    if (entry->what == READY) {
        world->starting--;
        is_free(world, entry->slot);
        return WORLD_READY;
    }
    if (entry->what == GONE) {
        worker->served_us = 0;
        world->starting--;
        goes(world, entry->slot);
        return WORLD_EXITED;
    }
    world->served++;
    world->busy--;
    worker->served_us = worker->service_us;
    worker->busy_us += worker->service_us;
    if (worker->retired) {
        goes(world, entry->slot);
        return WORLD_EXITED;
    }
    is_free(world, entry->slot);
    return WORLD_DONE;
}

/* ---- time ---- */

static uint32_t demand(const struct world *world)
{
    return world->busy + world_queue(world);
}

static void pass(struct world *world, int64_t now_us)
{
    if (demand(world) > world->max)
        world->saturated_us += now_us - world->now_us;
    world->now_us = now_us;
}

static int64_t next_arrival_us(const struct world *world)
{
    return world->arrived < world->trace->count ? world->trace->items[world->arrived].at_us : AGENDA_NEVER;
}

static int64_t sooner(int64_t a_us, int64_t b_us)
{
    return a_us < b_us ? a_us : b_us;
}

static bool is_over(const struct world *world, int64_t next_us)
{
    if (world->served == world->trace->count)
        return next_us > world->trace->end_us;
    return next_us == AGENDA_NEVER || next_us > world->trace->end_us + PATIENCE_US;
}

/* What the world does by itself comes before what the manager does about it. */
static void step(struct world *world, struct manager *manager, int64_t next_us)
{
    pass(world, next_us > world->now_us ? next_us : world->now_us);
    if (agenda_next(&world->agenda) <= next_us) {
        struct agenda_entry entry = agenda_take(&world->agenda);
        enum world_event event = becomes_true(world, &entry);
        if (event != WORLD_BEGIN)
            manager->happened(manager, world, event, entry.slot);
    } else if (next_arrival_us(world) <= next_us) {
        arrives(world);
        manager->happened(manager, world, WORLD_ARRIVED, WORLD_NONE);
    } else {
        manager->happened(manager, world, WORLD_TIME, WORLD_NONE);
    }
    track_note(&world->track, world->now_us,
               (struct track_point){
                   .demand = demand(world), .workers = world_live(world), .queue = world_queue(world)});
}

void world_run(struct world *world, struct manager *manager)
{
    manager->happened(manager, world, WORLD_BEGIN, WORLD_NONE);
    for (;;) {
        int64_t next_us = sooner(agenda_next(&world->agenda), next_arrival_us(world));
        next_us = sooner(next_us, manager->next_us(manager));
        if (is_over(world, next_us))
            break;
        step(world, manager, next_us);
    }
    pass(world, world->now_us > world->trace->end_us ? world->now_us : world->trace->end_us);
    for (uint32_t i = 0; i < world->slot_count; i++)
        if (world->workers[i].state != WORLD_EMPTY)
            world->worker_us += world->now_us - world->workers[i].spawned_us;
}
