/* A new generation of workers; see rollout.h. */
#include "pool/rollout.h"

#include "pool/policy_act.h"
#include "pool/recycle.h"

bool rollout_is_canary(const struct policy *policy, const struct slot *slot)
{
    return policy->candidate && slot->generation == policy->candidate && slot_is_capacity(slot);
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
    bool former = slot_is_capacity(slot) && slot->generation != policy->generation;
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

void rollout_begin(struct policy *policy, int64_t now_ms, struct actions *actions)
{
    struct slot *former = find_canary(policy);
    if (former)
        policy_retire(policy, former, REASON_SUPERSEDED, now_ms, actions);
    policy->candidate = ++policy->generations;
    if (policy->resting)
        rollout_proved(policy, now_ms, actions);
}

void rollout_proved(struct policy *policy, int64_t now_ms, struct actions *actions)
{
    policy->fallback = policy->generation;
    uint64_t generation = policy->candidate;
    policy->candidate = 0;
    take_effect(policy, generation, now_ms, actions);
    policy_act(ACTION_ROLLOUT, ROLLOUT_PROVED, REASON_NONE, actions);
}

void rollout_failed(struct policy *policy, enum reason reason, struct actions *actions)
{
    policy->candidate = 0;
    policy->stats.rolled_back++;
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
    policy->stats.rolled_back++;
    take_effect(policy, generation, now_ms, actions);
    policy_act(ACTION_ROLLOUT, ROLLOUT_BACK, REASON_FAILING, actions);
}

static bool is_done(const struct policy *policy)
{
    if (policy->resting || policy_count(policy, SLOT_SERVING) < policy->wanted)
        return false;
    for (uint32_t i = 0; i < policy->slot_count; i++)
        if (rollout_due(policy, &policy->slots[i]) != REASON_NONE)
            return false;
    return true;
}

void rollout_end(struct policy *policy, struct actions *actions)
{
    if (!policy->fallback || !is_done(policy))
        return;
    policy->fallback = 0;
    policy_act(ACTION_ROLLOUT, ROLLOUT_DONE, REASON_NONE, actions);
}
