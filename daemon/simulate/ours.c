/* The policy core in a virtual world; see ours.h. */
#include "daemon/simulate/ours.h"

#include "daemon/base/memory.h"
#include "pool/assert.h"
#include "pool/policy.h"
#include "pool/tally.h"

#define MS 1000 /* in microseconds */

/* As in daemon/requests.c and daemon/wakeup.c. */
#define SAMPLE_US (1000 * MS)
#define PAUSE_US  (10 * MS) /* after each time that the master was woken */

struct ours {
    struct manager manager;
    struct settings settings;
    struct policy policy;
    struct slot *slots; /* owned, as are the following */
    struct action *action_items;
    bool *busy; /* a slot each */
    struct actions actions;
    int64_t deadline_us; /* the policy's */

    /* Looks at the load. */
    int64_t look_us;
    uint32_t seen; /* serving workers, at the last look */
    bool armed;    /* to be woken when the last idle worker takes a request */
    int64_t wake_us, woken_us;

    /* Looks at all workers. */
    struct tally tally;
    struct latency served; /* in all */
    uint64_t sampled;      /* requests begun until the last sample */
    int64_t sample_us, sampled_us;
    bool asleep; /* the next request that is taken wakes */
    uint32_t service_us;
};

static int64_t sooner(int64_t a_us, int64_t b_us)
{
    return a_us < b_us ? a_us : b_us;
}

static int64_t later(int64_t a_us, int64_t b_us)
{
    return a_us > b_us ? a_us : b_us;
}

/* ---- steps ---- */

static void take_actions(struct ours *ours, struct world *world)
{
    for (uint32_t i = 0; i < ours->actions.count; i++) {
        const struct action *action = &ours->actions.items[i];
        ASSERT(action->type != ACTION_ABORT && action->type != ACTION_KILL);
        if (action->type == ACTION_SPAWN)
            world_spawn(world, action->slot);
        else if (action->type == ACTION_RETIRE)
            world_retire(world, action->slot);
    }
}

static void step(struct ours *ours, struct world *world, struct event event)
{
    event.now_ms = world->now_us / MS;
    if (event.type == EVENT_READY || event.type == EVENT_EXITED)
        event.incarnation = ours->slots[event.slot].incarnation;
    policy_step(&ours->policy, &event, &ours->actions);
    take_actions(ours, world);
    int64_t deadline_ms = policy_deadline(&ours->policy);
    ours->deadline_us = deadline_ms == NEVER_MS ? AGENDA_NEVER : deadline_ms * MS;
}

/* ---- a look at the load ---- */

/* One that waits is woken at once, but for the pause since the last time. */
static void wake(struct ours *ours, const struct world *world)
{
    if (ours->wake_us == AGENDA_NEVER)
        ours->wake_us = later(world->now_us, ours->woken_us + PAUSE_US);
}

static void look_again(struct ours *ours, const struct world *world, struct load *load)
{
    if (!load_is_full(load) && load->workers > 0) {
        ours->armed = true;
        if (world->idle == 0)
            load->busy = load->places;
    }
    int64_t next_ms = policy_look_ms(&ours->policy, load);
    ours->look_us = next_ms == NEVER_MS ? AGENDA_NEVER : world->now_us + next_ms * MS;
}

static void look(struct ours *ours, struct world *world, const bool *busy_slots)
{
    uint32_t serving = policy_count(&ours->policy, SLOT_SERVING);
    struct load load = {.workers = serving,
                        .places = serving,
                        .queued = world_queue(world),
                        .accepts = (uint32_t)world->taken,
                        .service_us = ours->service_us,
                        .requests = world->taken,
                        .busy_slots = busy_slots};
    /* While there were more or fewer of them, fewer were idle for that alone. */
    load_count(&load, world->idle, ours->seen == serving ? world->idle_low : world->idle);
    world->idle_low = world->idle;
    ours->seen = serving;
    step(ours, world, (struct event){.type = EVENT_LOAD, .load = load});
    look_again(ours, world, &load);
}

/* ---- a look at all workers ---- */

static void sample(struct ours *ours, struct world *world)
{
    struct latency recent;
    int64_t now_ms = world->now_us / MS;
    bool worked = world->taken != ours->sampled;
    tally_add(&ours->tally, world->taken, &ours->served, now_ms);
    tally_recent(&ours->tally, &ours->served, &recent);
    ours->service_us = (uint32_t)latency_mean(&recent);
    ours->sampled = world->taken;
    ours->sampled_us = world->now_us;
    for (uint32_t i = 0; i < world->slot_count; i++)
        ours->busy[i] = world->workers[i].state == WORLD_BUSY;
    look(ours, world, ours->busy);
    ours->asleep = !worked && world->busy == 0;
    ours->sample_us = ours->asleep ? AGENDA_NEVER : world->now_us + SAMPLE_US;
}

/* ---- what happens in the world ---- */

/* A request that a worker takes wakes the master, not one that waits. */
static void awake(struct ours *ours, const struct world *world)
{
    if (!ours->asleep || world->taken == ours->sampled)
        return;
    ours->asleep = false;
    ours->sample_us = later(world->now_us, ours->sampled_us + SAMPLE_US);
}

static void on_arrived(struct ours *ours, struct world *world)
{
    if (world->idle == 0 && ours->armed) {
        ours->armed = false;
        wake(ours, world);
    }
    if (policy_count(&ours->policy, SLOT_SERVING) == 0 && ours->look_us == AGENDA_NEVER)
        ours->look_us = world->now_us;
}

static void count_service(struct ours *ours, const struct world *world, uint32_t slot)
{
    int64_t service_us = world->workers[slot].served_us;
    ours->served.buckets[page_bucket((uint64_t)service_us)] += service_us > 0;
}

static void adjust(struct ours *ours, const struct world *world)
{
    ours->look_us = world->now_us;
}

static void on_woken(struct ours *ours, struct world *world)
{
    ours->woken_us = world->now_us;
    ours->wake_us = AGENDA_NEVER;
    if (policy_may_grow(&ours->policy))
        look(ours, world, NULL);
    else
        ours->look_us = sooner(ours->look_us, world->now_us + POLICY_LOOK_LATER_MS * MS);
}

static void on_time(struct ours *ours, struct world *world)
{
    if (ours->wake_us <= world->now_us)
        on_woken(ours, world);
    if (ours->sample_us <= world->now_us)
        sample(ours, world);
    if (ours->look_us <= world->now_us)
        look(ours, world, NULL);
    if (ours->deadline_us <= world->now_us)
        step(ours, world, (struct event){.type = EVENT_TIME});
}

static void happened(struct manager *manager, struct world *world, enum world_event event, uint32_t slot)
{
    struct ours *ours = (struct ours *)manager;
    awake(ours, world);
    switch (event) {
    case WORLD_BEGIN:
        step(ours, world, (struct event){.type = EVENT_START});
        adjust(ours, world);
        break;
    case WORLD_ARRIVED:
        on_arrived(ours, world);
        break;
    case WORLD_DONE:
        count_service(ours, world, slot);
        break;
    case WORLD_READY:
        step(ours, world, (struct event){.type = EVENT_READY, .slot = slot});
        ours->look_us = world->now_us;
        break;
    case WORLD_EXITED:
        count_service(ours, world, slot);
        step(ours, world, (struct event){.type = EVENT_EXITED, .slot = slot, .number = EXIT_CAUSE_CLEAN});
        adjust(ours, world);
        break;
    case WORLD_TIME:
        on_time(ours, world);
        break;
    }
}

static int64_t next_us(const struct manager *manager)
{
    const struct ours *ours = (const struct ours *)manager;
    int64_t at_us = sooner(sooner(ours->wake_us, ours->look_us), ours->sample_us);
    return sooner(at_us, ours->deadline_us);
}

/* ---- life ---- */

static void ours_free(struct manager *manager)
{
    struct ours *ours = (struct ours *)manager;
    free(ours->slots);
    free(ours->action_items);
    free(ours->busy);
    free(ours);
}

uint32_t ours_slots(const struct settings *settings)
{
    /* All may leave at once, and as many come in their place. */
    return 2 * (uint32_t)settings->workers_max + policy_slots_for(settings, settings->workers_min, 1);
}

/* What is simulated is scaling: limits of other kinds hold nobody up. */
static void leave_out_limits(struct settings *settings)
{
    settings->timeout_ms = settings->start_timeout_ms = 0;
    settings->max_requests = settings->max_lifetime_ms = settings->max_memory = 0;
    settings->graceful_timeout_ms = TRACE_AT_MAX_MS;
}

struct manager *ours_new(const struct settings *settings)
{
    struct ours *ours = memory_must(calloc(1, sizeof *ours));
    uint32_t count = ours_slots(settings);
    ours->manager =
        (struct manager){.name = "fcgipool", .happened = happened, .next_us = next_us, .free = ours_free};
    ours->settings = *settings;
    leave_out_limits(&ours->settings);
    ours->slots = memory_must(calloc(count, sizeof *ours->slots));
    ours->busy = memory_must(calloc(count, sizeof *ours->busy));
    ours->actions.capacity = 2 * count + 8;
    ours->action_items = memory_must(calloc(ours->actions.capacity, sizeof *ours->action_items));
    ours->actions.items = ours->action_items;
    ours->look_us = ours->wake_us = ours->sample_us = ours->deadline_us = AGENDA_NEVER;
    ours->woken_us = -PAUSE_US;
    ours->sampled_us = -SAMPLE_US;
    ours->asleep = true;
    tally_init(&ours->tally, 0);
    policy_init(&ours->policy, &ours->settings, ours->slots, count, 1);
    return &ours->manager;
}
