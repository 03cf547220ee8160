/*
 * The policy core in a random world: workers that start, hang, crash, leave, or ignore every signal but
 * SIGKILL, operators that scale and stop at random, events that come too late. Virtual time, one seed, many
 * pool lives. After each step the invariants must hold, and every action must make sense in the world as it
 * is.
 *
 * usage: sim_policy [SEED [STEPS]]
 */
#include "pool/assert.h"
#include "pool/policy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SLOTS 40

/* ---- chance ---- */

static uint64_t chance_state;

/* splitmix64 */
static uint64_t chance(void)
{
    uint64_t z = (chance_state += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

static int64_t between(int64_t low, int64_t high)
{
    return low + (int64_t)(chance() % (uint64_t)(high - low + 1));
}

static bool percent(int64_t share)
{
    return between(1, 100) <= share;
}

/* ---- the world ---- */

/* What will become of one process; NEVER_MS: not by itself. */
struct process {
    uint64_t incarnation; /* 0: none */
    int64_t ready_ms;
    int64_t exit_ms;
    bool clean;
};

static struct world {
    struct settings settings;
    struct policy policy;
    struct slot slots[SLOTS];
    struct action action_items[2 * SLOTS + 8];
    struct actions actions;
    struct process processes[SLOTS];
    int64_t now_ms;
    int64_t stop_began_ms, stop_limit_ms; /* NEVER_MS: not stopping */
    int64_t queue_empty_ms;               /* NEVER_MS: not refusing, or seen empty already */
    bool refused;
    bool crash_loop; /* every start fails */
    uint64_t steps, lives;
} world;

static uint64_t seed;

static void fail(const char *what)
{
    fprintf(stderr, "sim_policy: seed %" PRIu64 ", step %" PRIu64 ", time %" PRId64 " ms: %s\n", seed,
            world.steps, world.now_ms, what);
    abort();
}

static void expect(bool condition, const char *what)
{
    if (!condition)
        fail(what);
}

void assert_failed(const char *expression, const char *file, int line)
{
    fprintf(stderr, "%s:%d: %s\n", file, line, expression);
    fail("assertion failed");
    abort();
}

static int64_t min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void begin_life(void)
{
    settings_init(&world.settings);
    world.settings.workers_min = between(0, 12);
    world.settings.workers_max =
        percent(50) && world.settings.workers_min ? world.settings.workers_min : between(12, 30);
    world.settings.max_starting = between(1, 8);
    world.settings.start_timeout_ms = percent(20) ? 0 : between(1, 20000);
    world.settings.graceful_timeout_ms = between(0, 30000);
    world.settings.abort_timeout_ms = between(0, 3000);
    world.settings.backoff_initial_ms = between(1, 1000);
    world.settings.backoff_max_ms = between(1000, 30000);
    world.settings.failures = between(1, 6);
    world.actions = (struct actions){.items = world.action_items, .capacity = 2 * SLOTS + 8};
    world.stop_began_ms = world.stop_limit_ms = world.queue_empty_ms = NEVER_MS;
    world.refused = false;
    world.crash_loop = percent(10);
    for (int i = 0; i < SLOTS; i++)
        world.processes[i] = (struct process){0};
    policy_init(&world.policy, &world.settings, world.slots, SLOTS);
    world.lives++;
}

/* ---- actions, as the world takes them ---- */

static struct process *process_of(const struct action *action)
{
    struct process *process = &world.processes[action->slot];
    expect(process->incarnation == action->incarnation,
           "an action is about the worker that lives in the slot");
    return process;
}

static void take_spawn(const struct action *action)
{
    struct process *process = &world.processes[action->slot];
    expect(process->incarnation == 0, "one live worker a slot");
    expect(world.policy.backoff.until_ms <= world.now_ms, "no start before the backoff's pause is over");
    *process = (struct process){
        .incarnation = action->incarnation,
        .ready_ms = world.now_ms + (percent(80) ? between(1, 100) : between(100, 30000)),
        .exit_ms = percent(30) ? world.now_ms + between(0, 60000) : NEVER_MS,
        .clean = percent(50),
    };
    if (world.crash_loop)
        process->exit_ms = world.now_ms + between(0, 5);
}

static void take_retire(const struct action *action)
{
    struct process *process = process_of(action);
    if (percent(90))
        process->exit_ms = min(process->exit_ms, world.now_ms + between(0, 40000));
}

static void take_abort(const struct action *action)
{
    struct process *process = process_of(action);
    if (percent(70))
        process->exit_ms = min(process->exit_ms, world.now_ms + between(0, 4000));
}

static void take_kill(const struct action *action)
{
    struct process *process = process_of(action);
    process->exit_ms = percent(95) ? world.now_ms + between(0, 5) : NEVER_MS; /* or hangs in the kernel */
}

static void take_refuse(const struct action *action)
{
    (void)action;
    expect(!world.refused, "connections are refused once");
    world.refused = true;
    world.queue_empty_ms = world.now_ms + (percent(80) ? between(0, 100) : between(0, 60000));
}

static void take_want(const struct action *action)
{
    expect(action->number == world.policy.wanted, "what is wanted is said");
}

static void take_state(const struct action *action)
{
    (void)action;
}

static void take_actions(uint32_t serving_before)
{
    static void (*const take[ACTION_TYPES])(const struct action *) = {
        [ACTION_WANT] = take_want,   [ACTION_SPAWN] = take_spawn, [ACTION_RETIRE] = take_retire,
        [ACTION_ABORT] = take_abort, [ACTION_KILL] = take_kill,   [ACTION_REFUSE] = take_refuse,
        [ACTION_STATE] = take_state,
    };
    uint32_t retired = 0;
    for (uint32_t i = 0; i < world.actions.count; i++) {
        retired += world.actions.items[i].type == ACTION_RETIRE;
        take[world.actions.items[i].type](&world.actions.items[i]);
    }
    if (retired && policy_is_open(&world.policy))
        expect(policy_count(&world.policy, SLOT_SERVING) >= min(serving_before, policy_target(&world.policy)),
               "who is retired by our choice leaves as many serving as are wanted");
    if (world.policy.resting)
        expect(policy_capacity(&world.policy) == 0, "in a pause nobody is to serve");
}

/* ---- events ---- */

static void step(enum event_type type, uint32_t slot, uint64_t incarnation, int64_t number)
{
    struct event event = {type, world.now_ms, slot, incarnation, number};
    uint32_t serving = policy_count(&world.policy, SLOT_SERVING);
    policy_step(&world.policy, &event, &world.actions);
    world.steps++;
    take_actions(serving);
    const char *broken = policy_check(&world.policy, world.now_ms);
    if (broken)
        fail(broken);
    expect(policy_count(&world.policy, SLOT_STARTING) <= world.settings.max_starting, "max_starting is kept");
    if (world.stop_limit_ms != NEVER_MS)
        expect(world.policy.state == POOL_STOPPED || world.now_ms <= world.stop_limit_ms,
               "a stop ends within graceful_timeout + abort_timeout + 1 s");
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
        bool clean = process->clean;
        *process = (struct process){0};
        step(EVENT_EXITED, slot, incarnation, clean);
    } else {
        process->ready_ms = NEVER_MS;
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
    settings->start_timeout_ms = percent(20) ? 0 : between(1, 20000);
    settings->graceful_timeout_ms = between(0, 30000);
    settings->abort_timeout_ms = between(0, 3000);
    settings->backoff_initial_ms = between(1, 1000);
    settings->backoff_max_ms = between(1000, 30000);
    settings->failures = between(1, 6);
    if (settings_static(settings))
        settings->workers_min = settings->workers_max = between(1, 30);
    else
        settings->workers_max = between(13, 30);
    step(EVENT_SETTINGS, 0, 0, 0);
}

/* A person, a late event, or a start that fails at once. */
static void outsider_acts(void)
{
    uint32_t slot = (uint32_t)between(0, SLOTS - 1);
    struct process *process = &world.processes[slot];
    int64_t dice = between(1, 100);
    if (dice <= 30) {
        step(EVENT_SCALE_BY, 0, 0, between(-3, 3));
    } else if (dice <= 50) {
        step(EVENT_SCALE_TO, 0, 0, between(-5, SLOTS));
    } else if (dice <= 75) {
        static const enum event_type late[] = {EVENT_READY, EVENT_EXITED, EVENT_SPAWN_FAILED};
        uint64_t former = process->incarnation ? process->incarnation - 1 : 1 + world.policy.incarnations;
        if (former)
            step(late[between(0, 2)], slot, former, 0);
    } else if (dice <= 90) {
        if (process->incarnation && process->ready_ms != NEVER_MS) {
            uint64_t incarnation = process->incarnation;
            *process = (struct process){0};
            step(EVENT_SPAWN_FAILED, slot, incarnation, 0);
        }
    } else if (dice <= 92) {
        step(percent(60) ? EVENT_RESUME : EVENT_PAUSE, 0, 0, 0);
    } else if (dice <= 94) {
        step(EVENT_QUEUE_WAITING, 0, 0, 0);
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
    begin_life();
    step(EVENT_START, 0, 0, 0);
    while (world.policy.state != POOL_STOPPED && world.steps < steps_max) {
        uint32_t slot = 0;
        int64_t process_ms = next_of_world(&slot);
        int64_t deadline_ms = policy_deadline(&world.policy);
        int64_t next_ms = min(min(process_ms, deadline_ms), min(outsider_ms, world.queue_empty_ms));
        expect(next_ms != NEVER_MS, "somebody acts");
        if (next_ms > world.now_ms)
            world.now_ms = next_ms;
        if (world.queue_empty_ms == next_ms) {
            world.queue_empty_ms = NEVER_MS;
            step(EVENT_QUEUE_EMPTY, 0, 0, 0);
        } else if (process_ms == next_ms) {
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
    seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t steps = argc > 2 ? strtoull(argv[2], NULL, 10) : 100000;
    chance_state = seed;
    world.now_ms = 1000;
    while (world.steps < steps)
        live(steps);
    printf("sim_policy: seed %" PRIu64 ": %" PRIu64 " steps, %" PRIu64 " pool lives, no broken invariant\n",
           seed, world.steps, world.lives);
    return 0;
}
