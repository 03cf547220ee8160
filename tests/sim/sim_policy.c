/*
 * The policy core in a random world: workers that start, hang, crash, leave, reach limits, or ignore every
 * signal but SIGKILL, operators that scale and stop at random, events that come too late. Virtual time, one
 * seed, many pool lives. After each step the invariants must hold, and every action must make sense in the
 * world as it is.
 *
 * usage: sim_policy [SEED [STEPS]]
 */
#include "pool/recycle.h"
#include "pool/rollout.h"
#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- events ---- */

/* Nobody hinders a start. */
static bool may_start(void)
{
    const struct policy *policy = &world.policy;
    return policy_is_open(policy) && policy->backoff.until_ms <= world.now_ms && !policy->backoff.failures &&
           policy_count(policy, SLOT_EMPTY) &&
           policy_count(policy, SLOT_STARTING) < world.settings.max_starting;
}

/* A generation that has proved itself is in effect for all in the end: who is of another is due, or replaced.
 */
static void check_generations(void)
{
    const struct policy *policy = &world.policy;
    bool mixed = false;
    for (int i = 0; i < SLOTS; i++)
        mixed |= slot_is_capacity(&world.slots[i]) && world.slots[i].generation != policy->generation &&
                 world.slots[i].generation != policy->candidate && world.slots[i].place == policy->place &&
                 world.slots[i].due == REASON_NONE;
    expect(!mixed, "who is of another generation has to go");
    expect(!policy->candidate || (policy->state < POOL_STOPPING && !policy->resting),
           "a canary is tried while the pool runs");
}

/* A row of failed starts has an end: somebody tries again, or has to prove himself. */
static void check_failures(void)
{
    const struct policy *policy = &world.policy;
    bool goes_on = policy_capacity(policy) < policy_target(policy) || policy_count(policy, SLOT_STARTING);
    for (int i = 0; i < SLOTS; i++)
        goes_on |= world.slots[i].state == SLOT_SERVING && world.slots[i].deadline_ms != NEVER_MS;
    expect(!policy->backoff.failures || !policy_is_open(policy) || policy->resting || goes_on,
           "a row of failed starts has an end");
}

/* Who is due has a successor, as far as max_recycling goes, and all who are old are due. */
static void check_limits(void)
{
    const struct settings *settings = &world.settings;
    bool recycles =
        may_start() && !world.policy.resting && world.policy.state < POOL_STOPPING &&
        world_replaced() + rollout_has_canary(&world.policy) < recycle_limit(settings, world.policy.wanted);
    for (int i = 0; i < SLOTS; i++) {
        const struct process *process = &world.processes[i];
        bool serves = process->incarnation && process->accepts && !process->told_to_leave;
        bool due = serves && process->place == world.policy.place && world.slots[i].due != REASON_NONE;
        expect(!serves || world.slots[i].due != REASON_NONE || !settings->max_lifetime_ms ||
                   world.now_ms <
                       process->spawned_ms + settings->max_lifetime_ms + settings->max_lifetime_jitter_ms + 1,
               "who is old is due");
        expect(!recycles || !due || world_staying(false, process->place) > world.policy.wanted,
               "who is due has a successor");
    }
}

/* Where nothing comes any more, nobody stays. */
static void check_places(void)
{
    for (int i = 0; i < SLOTS; i++) {
        const struct process *process = &world.processes[i];
        expect(!process->incarnation || process->told_to_leave || !world.places[process->place].drained,
               "nobody stays at an address that is drained");
    }
}

static void step_event(const struct event *event)
{
    const struct policy *policy = &world.policy;
    policy_step(&world.policy, event, &world.actions);
    world.steps++;
    world_take_actions();
    const char *broken = policy_check(&world.policy, world.now_ms);
    if (broken)
        expect(false, broken);
    expect(policy_capacity(policy) - policy_serving(policy) - rollout_has_canary(policy) <=
               world.settings.max_starting,
           "max_starting is kept, but for a canary");
    check_limits();
    check_failures();
    check_generations();
    check_places();
    if (world.stop_limit_ms != NEVER_MS)
        expect(world.policy.state == POOL_STOPPED || world.now_ms <= world.stop_limit_ms,
               "a stop ends within graceful_timeout + abort_timeout + 1 s");
}

static void step(enum event_type type, uint32_t slot, uint64_t incarnation, int64_t number)
{
    step_event(&(struct event){
        .type = type, .now_ms = world.now_ms, .slot = slot, .incarnation = incarnation, .number = number});
}

/* The place where nothing waits any more first, and when. */
static int64_t next_drained(uint64_t *ret_place)
{
    int64_t next_ms = NEVER_MS;
    for (uint64_t i = 0; i < world.place_count; i++) {
        if (world.places[i].drained_ms < next_ms) {
            next_ms = world.places[i].drained_ms;
            *ret_place = i;
        }
    }
    return next_ms;
}

static void drained(uint64_t place)
{
    uint64_t unused;
    world.places[place].drained_ms = NEVER_MS;
    if (world.stop_began_ms != NEVER_MS && next_drained(&unused) == NEVER_MS) {
        step(EVENT_QUEUE_EMPTY, 0, 0, 0);
    } else {
        world.places[place].drained = true;
        step(EVENT_DRAINED, 0, 0, (int64_t)place);
    }
}

/* HUP with a control file that has the same address, another one, or one of before. */
static void reload(void)
{
    uint64_t place = world.policy.place;
    int left = 0;
    for (int i = 0; i < POLICY_DEPARTURES; i++)
        left += world.policy.departures[i].generation != 0;
    if (percent(40) && left < POLICY_DEPARTURES - 1)
        place = percent(60) ? world.place_count : (uint64_t)between(0, (int64_t)world.place_count - 1);
    if (world.places[place].refused)
        place = world.policy.place;
    if (place == world.place_count && world.place_count < PLACES - 1)
        world.place_count++;
    step(EVENT_ROLL_OUT, 0, 0, (int64_t)place);
}

/* The next thing that the world does by itself, and when. */
static int64_t next_of_world(uint32_t *ret_slot)
{
    int64_t next_ms = NEVER_MS;
    for (uint32_t i = 0; i < SLOTS; i++) {
        const struct process *process = &world.processes[i];
        int64_t at_ms = process->incarnation ? min(process->ready_ms, process->exit_ms) : NEVER_MS;
        if (at_ms < next_ms) {
            next_ms = at_ms;
            *ret_slot = i;
        }
    }
    return next_ms;
}

static void process_acts(uint32_t slot)
{
    struct process *process = &world.processes[slot];
    uint64_t incarnation = process->incarnation;
    if (process->exit_ms <= process->ready_ms) {
        enum exit_cause cause = process->cause;
        *process = (struct process){0};
        step(EVENT_EXITED, slot, incarnation, cause);
    } else {
        process->ready_ms = NEVER_MS;
        process->accepts = true;
        step(EVENT_READY, slot, incarnation, 0);
    }
}

static void stop(enum event_type type)
{
    const struct settings *settings = &world.settings;
    int64_t quick_ms = world.now_ms + settings->abort_timeout_ms + POLICY_REAP_MS;
    if (world.stop_began_ms == NEVER_MS) {
        world.stop_began_ms = world.now_ms;
        world.stop_limit_ms =
            world.now_ms + settings->graceful_timeout_ms + settings->abort_timeout_ms + 1000;
        if (type == EVENT_STOP_QUICK)
            world.stop_limit_ms = quick_ms;
    } else {
        world.stop_limit_ms = min(world.stop_limit_ms, quick_ms);
    }
    step(type, 0, 0, 0);
}

/* HUP with a control file that has other limits. */
static void change_settings(void)
{
    struct settings *settings = &world.settings;
    world_draw_limits();
    for (int i = 0; i < SLOTS && !settings->timeout_ms; i++)
        world.processes[i].overdue_ms = NEVER_MS;
    if (settings_static(settings))
        settings->workers_min = settings->workers_max = between(1, 30);
    else
        settings->workers_max = between(13, 30);
    step(EVENT_SETTINGS, 0, 0, 0);
}

/* A look at the load, of any kind of workers. */
static void load_changes(void)
{
    static bool busy[SLOTS];
    struct load load = {.workers = policy_count(&world.policy, SLOT_SERVING),
                        .service_us = percent(20) ? 0 : (uint32_t)between(1, percent(50) ? 1000 : 10000000),
                        .requests = world.steps};
    load.places = load.workers * (percent(70) ? 1 : (uint32_t)between(1, 8));
    load.busy = (uint32_t)between(0, load.places);
    load.peak = (uint32_t)between(load.busy, load.places);
    load.queued = percent(60) ? 0 : (uint32_t)between(0, percent(80) ? 40 : 4096);
    for (int i = 0; i < SLOTS; i++)
        busy[i] = percent(50);
    load.busy_slots = percent(50) ? busy : NULL;
    step_event(&(struct event){.type = EVENT_LOAD, .now_ms = world.now_ms, .load = load});
}

/* A worker's page tells of its requests. */
static void requests_act(uint32_t slot)
{
    struct process *process = &world.processes[slot];
    const struct settings *settings = &world.settings;
    bool has_requests =
        (process->accepts || process->told_to_leave) && !process->aborted && !process->killed_ms;
    int64_t dice = between(1, 100);
    if (!process->incarnation)
        return;
    if (dice <= 40 && (settings->max_requests || settings->max_memory)) {
        enum reason reason = settings->max_requests ? REASON_MAX_REQUESTS : REASON_MAX_MEMORY;
        process->at_limit = true;
        step(EVENT_RECYCLE, slot, process->incarnation, reason);
    } else if (dice <= 80 && settings->timeout_ms) {
        int64_t others = percent(30) ? 0 : between(1, 5);
        if (has_requests) {
            process->at_limit = true;
            process->hung = others == 0;
            process->overdue_ms = min(process->overdue_ms, world.now_ms);
        }
        step(EVENT_OVERDUE, slot, process->incarnation, others);
    } else {
        process->overdue_ms = NEVER_MS;
        step(EVENT_IN_TIME, slot, process->incarnation, 0);
    }
}

/* A person, a late event, or a start that fails at once. */
static void outsider_acts(void)
{
    uint32_t slot = (uint32_t)between(0, SLOTS - 1);
    struct process *process = &world.processes[slot];
    int64_t dice = between(1, 100);
    if (percent(30)) {
        load_changes();
    } else if (percent(3)) {
        step(EVENT_MEMORY, 0, 0, percent(50) ? INT64_MAX : between(0, SLOTS));
    } else if (percent(50)) {
        requests_act(slot);
    } else if (dice <= 30) {
        step(EVENT_SCALE_BY, 0, 0, between(-3, 3));
    } else if (dice <= 50) {
        step(EVENT_SCALE_TO, 0, 0, between(-5, 40));
    } else if (dice <= 75) {
        static const enum event_type late[] = {EVENT_READY, EVENT_EXITED, EVENT_SPAWN_FAILED, EVENT_OVERDUE};
        uint64_t former = process->incarnation ? process->incarnation - 1 : 1 + world.policy.incarnations;
        if (former)
            step(late[between(0, 3)], slot, former, 0);
    } else if (dice <= 90) {
        if (process->incarnation && process->ready_ms != NEVER_MS) {
            uint64_t incarnation = process->incarnation;
            *process = (struct process){0};
            step(EVENT_SPAWN_FAILED, slot, incarnation, 0);
        }
    } else if (dice <= 92) {
        step(percent(60) ? EVENT_RESUME : EVENT_PAUSE, 0, 0, 0);
    } else if (dice <= 93) {
        step(EVENT_QUEUE_WAITING, 0, 0, between(0, (int64_t)world.place_count - 1));
    } else if (dice <= 94) {
        reload();
    } else if (dice <= 96 && world.stop_began_ms == NEVER_MS) {
        change_settings();
    } else if (dice <= 98) {
        stop(percent(70) ? EVENT_STOP : EVENT_STOP_QUICK);
    }
}

/* One life of a pool, to its stop. */
static void live(uint64_t steps_max)
{
    int64_t outsider_ms = world.now_ms;
    world_begin_life();
    step(EVENT_START, 0, 0, 0);
    while (world.policy.state != POOL_STOPPED && world.steps < steps_max) {
        uint32_t slot = 0;
        uint64_t place = 0;
        int64_t process_ms = next_of_world(&slot), drained_ms = next_drained(&place);
        int64_t deadline_ms = policy_deadline(&world.policy);
        int64_t next_ms = min(min(process_ms, deadline_ms), min(outsider_ms, drained_ms));
        expect(next_ms != NEVER_MS, "somebody acts");
        if (next_ms > world.now_ms)
            world.now_ms = next_ms;
        if (drained_ms == next_ms)
            drained(place);
        else if (process_ms == next_ms) {
            process_acts(slot);
        } else if (deadline_ms == next_ms) {
            step(EVENT_TIME, 0, 0, 0);
            expect(policy_deadline(&world.policy) > world.now_ms || world.actions.count,
                   "time that passes moves on");
        } else {
            outsider_acts();
            outsider_ms = world.now_ms + between(0, percent(50) ? 20 : 20000);
        }
    }
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t steps = argc > 2 ? strtoull(argv[2], NULL, 10) : 100000;
    chance_init(seed);
    world.now_ms = 1000;
    while (world.steps < steps)
        live(steps);
    printf("sim_policy: seed %" PRIu64 ": %" PRIu64 " steps, %" PRIu64
           " pool lives, no broken invariant; %" PRIu64 " workers replaced, %" PRIu64
           " aborted at timeout, %" PRIu64 " moved; generations: %" PRIu64 " proved, %" PRIu64
           " done, %" PRIu64 " given up\n",
           seed, world.steps, world.lives, world.replaced, world.timeouts, world.moved,
           world.rollouts[ROLLOUT_PROVED], world.rollouts[ROLLOUT_DONE], world.rollouts[ROLLOUT_BACK]);
    return 0;
}
