/* Moving to another address; see move.h. */
#include "pool/move.h"

#include "pool/assert.h"
#include "pool/policy_act.h"
#include "pool/rollout.h"

bool move_is_apart(const struct policy *policy, const struct slot *slot)
{
    return slot_is_capacity(slot) && slot->place != policy->place && !rollout_is_canary(policy, slot);
}

bool move_is_under_way(const struct policy *policy)
{
    for (int i = 0; i < POLICY_DEPARTURES; i++)
        if (policy->departures[i].generation)
            return true;
    return false;
}

int64_t move_count(const struct policy *policy, enum slot_state state)
{
    int64_t count = 0;
    if (!move_is_under_way(policy))
        return 0;
    for (uint32_t i = 0; i < policy->slot_count; i++)
        count += policy->slots[i].state == state && move_is_apart(policy, &policy->slots[i]);
    return count;
}

bool move_starts(const struct policy *policy, uint64_t generation)
{
    for (int i = 0; i < POLICY_DEPARTURES; i++)
        if (policy->departures[i].generation == generation)
            return true;
    return false;
}

/* The index of the departure from `place`, or -1. */
static int index_of(const struct policy *policy, uint64_t place)
{
    for (int i = 0; i < POLICY_DEPARTURES; i++)
        if (policy->departures[i].generation && policy->departures[i].place == place)
            return i;
    return -1;
}

const struct departure *move_find(const struct policy *policy, uint64_t place)
{
    int i = index_of(policy, place);
    return i >= 0 ? &policy->departures[i] : NULL;
}

const struct departure *move_whole(const struct policy *policy)
{
    for (int i = 0; i < POLICY_DEPARTURES; i++) {
        const struct departure *departure = &policy->departures[i];
        if (departure->generation && departure->whole && !departure->refusing)
            return departure;
    }
    return NULL;
}

static void leave(struct policy *policy, uint64_t place, uint64_t generation, bool whole)
{
    struct departure *departure = policy->departures;
    while (departure->generation) {
        departure++;
        ASSERT(departure < policy->departures + POLICY_DEPARTURES);
    }
    *departure =
        (struct departure){.generation = generation, .place = place, .whole = whole, .until_ms = INT64_MIN};
}

static void forget(struct policy *policy, uint64_t place)
{
    int i = index_of(policy, place);
    if (i >= 0)
        policy->departures[i].generation = 0;
}

void move_begin(struct policy *policy, uint64_t place, uint64_t generation)
{
    bool whole = !move_whole(policy);
    forget(policy, place); /* back again */
    leave(policy, policy->place, generation, whole);
    policy->place = place;
}

void move_abandon(struct policy *policy, uint64_t place)
{
    if (place != policy->place && !move_find(policy, place))
        leave(policy, place, policy->generation, false);
}

void move_failed(struct policy *policy, const struct slot *slot, int64_t now_ms)
{
    int i = index_of(policy, slot->place);
    ASSERT(i >= 0);
    if (slot->state == SLOT_STARTING) /* its program may be gone by now */
        policy->departures[i].generation = policy->generation;
    policy->departures[i].until_ms = now_ms + POLICY_PROBATION_MS;
}

/* ---- those who are there ---- */

static void retire_apart(struct policy *policy, const uint64_t *place, enum reason reason, int64_t now_ms,
                         struct actions *actions)
{
    for (uint32_t i = 0; i < policy->slot_count; i++) {
        struct slot *slot = &policy->slots[i];
        if (!move_is_apart(policy, slot) || (place && slot->place != *place))
            continue;
        policy->stats.recycled_reload += reason == REASON_MOVED;
        policy_retire(policy, slot, reason, now_ms, actions);
    }
}

/* How many there are to be. Connections come where the whole pool serves, or wait, and who is there may leave
 * by himself. */
static int64_t target(const struct policy *policy, const struct departure *departure)
{
    if (policy->resting || !departure->generation || !(departure->whole || departure->waiting))
        return 0;
    return departure->waiting && !policy->wanted ? 1 : policy->wanted;
}

/* How many workers have to be started there. */
static int64_t count_missing(const struct policy *policy, const struct departure *departure)
{
    int64_t missing = target(policy, departure), empty = policy_count(policy, SLOT_EMPTY);
    int64_t allowed = policy->settings->max_starting - move_count(policy, SLOT_STARTING);
    for (uint32_t i = 0; missing > 0 && i < policy->slot_count; i++)
        missing -= policy->slots[i].place == departure->place && move_is_apart(policy, &policy->slots[i]);
    allowed = allowed < empty ? allowed : empty;
    return missing < allowed ? missing : allowed;
}

static void keep_up(struct policy *policy, const struct departure *departure, int64_t now_ms,
                    struct actions *actions)
{
    int64_t missing = count_missing(policy, departure);
    for (uint32_t i = 0; departure->until_ms <= now_ms && missing > 0; i++) {
        if (policy->slots[i].state != SLOT_EMPTY)
            continue;
        policy_spawn(policy, &policy->slots[i], departure->generation, departure->place, REASON_REPLACE,
                     now_ms, actions);
        missing--;
    }
}

void move_balance(struct policy *policy, int64_t now_ms, struct actions *actions)
{
    if (policy->resting)
        retire_apart(policy, NULL, REASON_PAUSE, now_ms, actions);
    for (int i = 0; i < POLICY_DEPARTURES; i++)
        keep_up(policy, &policy->departures[i], now_ms, actions);
}

/* ---- refusing, and the end ---- */

void move_waits(struct policy *policy, uint64_t place)
{
    int i = index_of(policy, place);
    if (i >= 0)
        policy->departures[i].waiting = true;
}

void move_drained(struct policy *policy, uint64_t place, int64_t now_ms, struct actions *actions)
{
    forget(policy, place);
    retire_apart(policy, &place, REASON_MOVED, now_ms, actions);
}

static bool is_waited_for(const struct policy *policy, const struct departure *departure)
{
    return departure->generation && departure->refusing && !policy->resting && policy->state < POOL_STOPPING;
}

void move_expire(struct policy *policy, int64_t now_ms, struct actions *actions)
{
    for (int i = 0; i < POLICY_DEPARTURES; i++) {
        const struct departure *departure = &policy->departures[i];
        if (is_waited_for(policy, departure) && departure->deadline_ms <= now_ms)
            move_drained(policy, departure->place, now_ms, actions);
    }
}

static int64_t deadline(const struct policy *policy, const struct departure *departure)
{
    int64_t start_ms =
        policy_is_open(policy) && count_missing(policy, departure) > 0 ? departure->until_ms : NEVER_MS;
    int64_t end_ms = is_waited_for(policy, departure) ? departure->deadline_ms : NEVER_MS;
    return earlier_ms(start_ms, end_ms);
}

int64_t move_deadline(const struct policy *policy)
{
    int64_t next_ms = NEVER_MS;
    for (int i = 0; i < POLICY_DEPARTURES; i++)
        next_ms = earlier_ms(next_ms, deadline(policy, &policy->departures[i]));
    return next_ms;
}

void move_extend(struct policy *policy, int64_t now_ms)
{
    for (int i = 0; i < POLICY_DEPARTURES; i++)
        policy->departures[i].deadline_ms = now_ms + policy->settings->graceful_timeout_ms;
}

void move_limit(struct policy *policy, int64_t now_ms)
{
    int64_t latest_ms = now_ms + policy->settings->graceful_timeout_ms;
    for (int i = 0; i < POLICY_DEPARTURES; i++)
        policy->departures[i].deadline_ms = earlier_ms(policy->departures[i].deadline_ms, latest_ms);
}

/* A generation on trial may be to go back to where the whole pool is. */
static bool may_refuse(const struct policy *policy, const struct departure *departure)
{
    bool tried = policy->candidate && policy->candidate_place == departure->place;
    if (!departure->generation || departure->refusing || policy->state >= POOL_STOPPING || tried)
        return false;
    return !departure->whole ||
           (!policy->resting && !policy->backoff.failures && policy_serving(policy) >= policy->wanted);
}

void move_turn(struct policy *policy, int64_t now_ms, struct actions *actions)
{
    bool refuses = false;
    for (int i = 0; i < POLICY_DEPARTURES; i++) {
        struct departure *departure = &policy->departures[i];
        if (!may_refuse(policy, departure))
            continue;
        refuses = departure->refusing = true;
        departure->deadline_ms = now_ms + policy->settings->graceful_timeout_ms;
        if (departure->place == policy->fallback_place)
            policy->fallback = 0;
    }
    if (refuses)
        policy_act(ACTION_REFUSE, 0, REASON_MOVED, actions);
}
