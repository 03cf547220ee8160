/* The virtual world of the simulation; see world.h. */
#include "tests/sim/world.h"

#include "pool/assert.h"
#include "pool/chance.h"
#include "pool/move.h"
#include "pool/recycle.h"
#include "pool/rollout.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- chance ---- */

static uint64_t seed, chance_state;

void chance_init(uint64_t new_seed)
{
    seed = chance_state = new_seed;
}

int64_t between(int64_t low, int64_t high)
{
    return low + (int64_t)(chance_next(&chance_state) % (uint64_t)(high - low + 1));
}

bool percent(int64_t share)
{
    return between(1, 100) <= share;
}

/* ---- the world ---- */

struct world world;

static void fail(const char *what)
{
    fprintf(stderr, "sim_policy: seed %" PRIu64 ", step %" PRIu64 ", time %" PRId64 " ms: %s\n", seed,
            world.steps, world.now_ms, what);
    abort();
}

void expect(bool condition, const char *what)
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

int64_t min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void world_draw_limits(void)
{
    struct settings *settings = &world.settings;
    settings->start_timeout_ms = percent(20) ? 0 : between(1, 20000);
    settings->graceful_timeout_ms = between(0, 30000);
    world.shortest_patience_ms = min(world.shortest_patience_ms, settings->graceful_timeout_ms);
    settings->abort_timeout_ms = between(0, 3000);
    settings->backoff_initial_ms = between(1, 1000);
    settings->backoff_max_ms = between(1000, 30000);
    settings->failures = between(1, 6);
    settings->timeout_ms = percent(20) ? 0 : between(1, 30000);
    settings->max_requests = percent(80);
    settings->max_memory = percent(80);
    settings->max_lifetime_ms = percent(50) ? 0 : between(5000, 200000);
    settings->max_lifetime_jitter_ms = percent(50) ? 0 : between(0, 50000);
    settings->max_recycling = percent(50) ? SETTING_UNSET : between(1, 6);
}

void world_begin_life(void)
{
    settings_init(&world.settings);
    world.shortest_patience_ms = NEVER_MS;
    world_draw_limits();
    world.settings.workers_min = between(0, 12);
    world.settings.workers_max =
        percent(50) && world.settings.workers_min ? world.settings.workers_min : between(12, 30);
    world.settings.max_starting = between(1, 8);
    if (!settings_static(&world.settings)) {
        world.settings.workers_start = percent(50) ? 0 : between(0, world.settings.workers_max);
        world.settings.workers_spare = percent(50) ? SETTING_AUTO : between(0, world.settings.workers_max);
        world.settings.idle_timeout_ms = percent(10) ? 0 : between(1, 60000);
    }
    world.actions = (struct actions){.items = world.action_items, .capacity = 2 * SLOTS + 8};
    world.stop_began_ms = world.stop_limit_ms = NEVER_MS;
    for (uint64_t i = 0; i < PLACES; i++)
        world.places[i] = (struct place){.drained_ms = NEVER_MS};
    world.place_count = 1;
    world.crash_loop = percent(10);
    world.sound = percent(50) ? 0 : (uint64_t)between(1, 4);
    for (int i = 0; i < SLOTS; i++)
        world.processes[i] = (struct process){0};
    policy_init(&world.policy, &world.settings, world.slots, SLOTS, chance_next(&chance_state));
    policy_number(&world.policy, percent(30));
    world.lives++;
}

int64_t world_staying(bool accepting, uint64_t place)
{
    int64_t count = 0;
    for (int i = 0; i < SLOTS; i++) {
        const struct process *process = &world.processes[i];
        count += process->incarnation && !process->told_to_leave && process->place == place &&
                 (process->accepts || !accepting);
    }
    return count;
}

int64_t world_replaced(void)
{
    int64_t count = 0;
    for (int i = 0; i < SLOTS; i++) {
        const struct process *process = &world.processes[i];
        count += process->incarnation && process->replaced &&
                 (!process->killed_ms || world.now_ms < process->killed_ms + POLICY_REAP_MS);
    }
    return count;
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
    expect(action->reason == REASON_CANARY || world.slots[action->slot].place != world.policy.place ||
               world.policy.backoff.until_ms <= world.now_ms,
           "no start before the backoff's pause is over");
    *process = (struct process){
        .incarnation = action->incarnation,
        .place = world.slots[action->slot].place,
        .spawned_ms = world.now_ms,
        .overdue_ms = NEVER_MS,
        .ready_ms = world.now_ms + (percent(80) ? between(1, 100) : between(100, 30000)),
        .exit_ms = percent(30) ? world.now_ms + between(0, 60000) : NEVER_MS,
        .cause = (enum exit_cause)between(0, EXIT_CAUSES - 1),
    };
    if (world.crash_loop && world.slots[action->slot].generation != world.sound) {
        process->exit_ms = world.now_ms + between(0, 5);
        process->cause = EXIT_CAUSE_CODE;
    }
    expect(process->place == world.policy.place || action->reason == REASON_CANARY ||
               world_staying(false, process->place) <= (world.policy.wanted ? world.policy.wanted : 1),
           "at an address that is left there are no more than are wanted");
    /* A canary was within the limit when it was started. */
    bool apart = world.policy.candidate && world.policy.candidate_place != world.policy.place;
    int64_t beside_canary = action->reason != REASON_CANARY && !apart && rollout_has_canary(&world.policy);
    int64_t successors = world_staying(false, world.policy.place) +
                         (action->reason == REASON_CANARY && apart) - world.policy.wanted - beside_canary;
    expect(successors <= 0 ||
               successors + world_replaced() <= recycle_limit(&world.settings, world.policy.wanted),
           "no successor beyond max_recycling");
    expect(successors <= 0 || world.stop_began_ms == NEVER_MS, "no successor in a stop");
}

/* New before old, for a reason, and not too many. */
static void take_replacement(struct process *process, enum reason reason)
{
    const struct settings *settings = &world.settings;
    process->replaced = true;
    world.replaced++;
    expect(world_replaced() <= recycle_limit(settings, world.policy.wanted),
           "no more than max_recycling are replaced at a time");
    expect(world.policy.backoff.failures == 0, "nobody is replaced while starts fail");
    if (reason == REASON_MAX_LIFETIME)
        expect(settings->max_lifetime_ms && world.now_ms >= process->spawned_ms + settings->max_lifetime_ms,
               "who is replaced for its age is old");
    else if (reason == REASON_GENERATION)
        expect(world.slots[process - world.processes].generation != world.policy.generation,
               "who is replaced for its generation is of another");
    else if (reason == REASON_NUMBER)
        expect(world.policy.numbered, "nobody is replaced for a number that does not matter");
    else
        expect(process->at_limit, "who is replaced has reached a limit");
}

/* Nobody connects there any more, and the whole pool serves elsewhere. */
static void take_move(const struct process *process)
{
    const struct place *place = &world.places[process->place];
    world.moved++;
    expect(place->refused, "an address that is left refuses connections first");
    expect(place->drained || world.now_ms >= place->refused_ms + world.shortest_patience_ms,
           "and what waits there is served");
}

static void take_retire(const struct action *action)
{
    struct process *process = process_of(action);
    process->told_to_leave = true;
    if (action->reason == REASON_MOVED)
        take_move(process);
    else if (process->accepts && policy_is_open(&world.policy) && !world.policy.resting &&
             !(world.policy.dry && action->reason == REASON_STOP))
        expect(world_staying(true, process->place) >= world.policy.wanted,
               "who is retired by our choice leaves as many serving at its address as are wanted");
    if (action->reason >= REASON_TIMEOUT)
        take_replacement(process, action->reason);
    if (percent(90))
        process->exit_ms = min(process->exit_ms, world.now_ms + between(0, 40000));
}

static void take_abort(const struct action *action)
{
    struct process *process = process_of(action);
    expect(!process->aborted, "one abort a worker");
    process->told_to_leave = process->aborted = true;
    if (action->reason == REASON_TIMEOUT) {
        world.timeouts++;
        expect(world.settings.timeout_ms && process->overdue_ms != NEVER_MS,
               "who is aborted for a request has one that takes too long");
        expect(process->hung || world.now_ms >= process->overdue_ms + world.settings.timeout_ms,
               "and no other, or was waited for");
    }
    if (percent(70))
        process->exit_ms = min(process->exit_ms, world.now_ms + between(0, 4000));
}

static void take_kill(const struct action *action)
{
    struct process *process = process_of(action);
    process->told_to_leave = true;
    process->killed_ms = world.now_ms;
    process->exit_ms = percent(95) ? world.now_ms + between(0, 5) : NEVER_MS; /* or hangs in the kernel */
}

static void refuse(struct place *place)
{
    if (place->refused)
        return;
    place->refused = true;
    place->refused_ms = world.now_ms;
    place->drained_ms = world.now_ms + (percent(80) ? between(0, 100) : between(0, 60000));
}

static void take_refuse(const struct action *action)
{
    const struct policy *policy = &world.policy;
    expect(!world.places[policy->place].refused, "connections are refused once");
    for (uint64_t i = 0; i < world.place_count; i++) {
        const struct departure *departure = move_find(policy, i);
        bool left = departure && departure->refusing && !world.places[i].refused;
        if (left && action->reason == REASON_MOVED)
            expect(!departure->whole || world_staying(true, policy->place) >= policy->wanted,
                   "an address is left when the whole pool serves elsewhere");
        if (left || action->reason != REASON_MOVED)
            refuse(&world.places[i]);
    }
}

static void take_want(const struct action *action)
{
    const struct scaling *scaling = &world.policy.scaling;
    expect(action->number == world.policy.wanted, "what is wanted is said");
    if (action->reason == REASON_LOAD)
        expect(action->number <= (scaling->peak_count ? scaling->peaks[0].workers : 0) ||
                   action->number <= scaling->demand + scaling->spare ||
                   action->number <= world.settings.workers_spare,
               "no more is wanted than the load has asked for");
}

static void take_saturated(const struct action *action)
{
    expect(action->number == world.policy.saturation.lasts, "saturation is told when it begins and ends");
}

/* One after the other, and none without an end. */
static void take_rollout(const struct action *action)
{
    world.rollouts[action->number]++;
    if (action->number == ROLLOUT_BACK)
        expect(action->reason != REASON_NONE, "there is a reason to go back");
    else
        expect(!world.policy.candidate || action->number == ROLLOUT_DONE,
               "who has proved itself is no candidate");
}

static void take_state(const struct action *action)
{
    (void)action;
}

void world_take_actions(void)
{
    static void (*const take[ACTION_TYPES])(const struct action *) = {
        [ACTION_WANT] = take_want,   [ACTION_SPAWN] = take_spawn,         [ACTION_RETIRE] = take_retire,
        [ACTION_ABORT] = take_abort, [ACTION_KILL] = take_kill,           [ACTION_REFUSE] = take_refuse,
        [ACTION_STATE] = take_state, [ACTION_SATURATED] = take_saturated, [ACTION_ROLLOUT] = take_rollout,
    };
    for (uint32_t i = 0; i < world.actions.count; i++)
        take[world.actions.items[i].type](&world.actions.items[i]);
    if (world.policy.resting)
        expect(policy_count(&world.policy, SLOT_STARTING) + policy_count(&world.policy, SLOT_SERVING) == 0,
               "in a pause nobody is to serve");
}
