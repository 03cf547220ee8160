/* A new generation of workers; see rollout.h. */
#include "pool/rollout.h"

#include "pool/move.h"
#include "pool/policy_act.h"
#include "pool/recycle.h"

bool rollout_is_canary(const struct policy *policy, const struct slot *slot)
{
    return policy->candidate && slot->generation == policy->candidate;
}

static struct slot *find_canary(const struct policy *policy)
{
    for (uint32_t i = 0; policy->candidate && i < policy->slot_count; i++)
        if (rollout_is_canary(policy, &policy->slots[i]))
            return &policy->slots[i];
    return NULL;
}

bool rollout_has_canary(const struct policy *policy)
{
    return find_canary(policy) != NULL;
}

enum reason rollout_due(const struct policy *policy, const struct slot *slot)
{
    bool former =
        slot_is_capacity(slot) && slot->generation != policy->generation && slot->place == policy->place;
    return former && !rollout_is_canary(policy, slot) ? REASON_GENERATION : REASON_NONE;
}

/* Workers are started from this generation now: those of others that start are not waited for, and what they
 * failed at is not its fault. */
static void take_effect(struct policy *policy, uint64_t generation, int64_t now_ms, struct actions *actions)
{
    policy->generation = generation;
    backoff_init(&policy->backoff);
    for (uint32_t i = 0; i < policy->slot_count; i++) {
        struct slot *slot = &policy->slots[i];
        if (slot->due == REASON_NONE || slot->due == REASON_GENERATION)
            policy_mark(policy, slot, rollout_due(policy, slot));
        if (recycle_is_old(policy, slot, now_ms))
            policy_mark(policy, slot, REASON_MAX_LIFETIME);
        if (slot->state == SLOT_STARTING && rollout_due(policy, slot) != REASON_NONE)
            policy_retire(policy, slot, REASON_SUPERSEDED, now_ms, actions);
    }
}

void rollout_begin(struct policy *policy, uint64_t place, int64_t now_ms, struct actions *actions)
{
    struct slot *former = find_canary(policy);
    uint64_t former_place = policy->candidate ? policy->candidate_place : place;
    if (former)
        policy_retire(policy, former, REASON_SUPERSEDED, now_ms, actions);
    policy->candidate = ++policy->generations;
    policy->candidate_place = place;
    if (former_place != place)
        move_abandon(policy, former_place);
    if (policy->resting)
        rollout_proved(policy, now_ms, actions);
}

void rollout_proved(struct policy *policy, int64_t now_ms, struct actions *actions)
{
    uint64_t generation = policy->candidate;
    if (!move_whole(policy)) { /* else the way back leads there */
        policy->fallback = policy->generation;
        policy->fallback_place = policy->place;
    }
    policy->candidate = 0;
    policy->following = true;
    /* After a pause, in which nobody serves, what waits at the former address need not wait for former ones.
     */
    if (policy->candidate_place != policy->place)
        move_begin(policy, policy->candidate_place, policy->resting ? generation : policy->generation);
    take_effect(policy, generation, now_ms, actions);
    policy_act(ACTION_ROLLOUT, ROLLOUT_PROVED, REASON_NONE, actions);
}

void rollout_failed(struct policy *policy, enum reason reason, struct actions *actions)
{
    policy->candidate = 0;
    policy->stats.rolled_back++;
    move_abandon(policy, policy->candidate_place);
    policy_act(ACTION_ROLLOUT, ROLLOUT_BACK, reason, actions);
}

void rollout_cancel(struct policy *policy, enum reason reason, int64_t now_ms, struct actions *actions)
{
    struct slot *canary = find_canary(policy);
    if (canary)
        policy_retire(policy, canary, reason, now_ms, actions);
    if (policy->candidate)
        rollout_failed(policy, reason, actions);
}

void rollout_turn(struct policy *policy, int64_t now_ms, struct actions *actions)
{
    uint64_t generation = policy->fallback;
    if (!generation || policy->backoff.failures < policy->settings->failures)
        return;
    policy->fallback = 0;
    policy->following = false;
    policy->stats.rolled_back++;
    if (policy->fallback_place != policy->place)
        move_begin(policy, policy->fallback_place, generation);
    take_effect(policy, generation, now_ms, actions);
    policy_act(ACTION_ROLLOUT, ROLLOUT_BACK, REASON_FAILING, actions);
}

/* Who is on the way out at a former address keeps it. */
static bool is_elsewhere(const struct policy *policy, const struct slot *slot)
{
    return slot->state != SLOT_EMPTY && slot->place != policy->place && !slot_is_given_up(slot) &&
           !rollout_is_canary(policy, slot);
}

static bool is_done(const struct policy *policy)
{
    if (policy->resting || move_is_under_way(policy) || policy_serving(policy) < policy->wanted)
        return false;
    for (uint32_t i = 0; i < policy->slot_count; i++)
        if (rollout_due(policy, &policy->slots[i]) != REASON_NONE || is_elsewhere(policy, &policy->slots[i]))
            return false;
    return true;
}

void rollout_end(struct policy *policy, struct actions *actions)
{
    if (!policy->following || !is_done(policy))
        return;
    policy->following = false;
    policy->fallback = 0;
    policy_act(ACTION_ROLLOUT, ROLLOUT_DONE, REASON_NONE, actions);
}
