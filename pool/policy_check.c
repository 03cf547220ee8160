/* The invariants of the policy core; see policy.h. */
#include "pool/policy.h"

#include "pool/move.h"
#include "pool/recycle.h"
#include "pool/rollout.h"

#include <string.h>

static const char *check_slot(const struct policy *policy, const struct slot *slot, int64_t now_ms)
{
    const struct settings *settings = policy->settings;
    bool stopping = policy->state >= POOL_STOPPING && !policy->draining;
    if ((slot->state == SLOT_EMPTY) != (slot->incarnation == 0))
        return "a worker in a slot has an incarnation, an empty slot has none";
    if (slot->incarnation > policy->incarnations)
        return "incarnations come from the pool's serial";
    if (slot->deadline_ms < now_ms || recycle_deadline(policy, slot) < now_ms)
        return "what is due was done";
    if (slot_is_capacity(slot) && stopping)
        return "a stopping pool keeps no worker";
    if (slot->state == SLOT_RETIRING && slot->deadline_ms > now_ms + settings->graceful_timeout_ms)
        return "a retirement ends within graceful_timeout";
    if (slot->state == SLOT_ABORTING && slot->deadline_ms > now_ms + settings->abort_timeout_ms)
        return "SIGKILL follows SIGABRT within abort_timeout";
    if (slot->recycled && !slot_is_leaving(slot))
        return "who was replaced is leaving";
    if (slot->generation > policy->generations)
        return "generations come from the pool's serial";
    if (slot->due == REASON_NONE && rollout_due(policy, slot) != REASON_NONE)
        return "who is of a former generation is due";
    if (move_is_apart(policy, slot) && !move_find(policy, slot->place))
        return "an address where somebody serves is in effect, or left";
    return NULL;
}

/* Successors, and those whom others have succeeded. */
static bool too_many_recycle(const struct policy *policy)
{
    int64_t successors = policy_capacity(policy) - policy->wanted - rollout_has_canary(policy);
    return successors > 0 &&
           successors + recycle_leaving(policy) > recycle_limit(policy->settings, policy->wanted);
}

static uint32_t canaries(const struct policy *policy)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < policy->slot_count; i++)
        count += rollout_is_canary(policy, &policy->slots[i]);
    return count;
}

static bool counts_hold(const struct policy *policy)
{
    uint32_t counts[SLOT_STATES] = {0}, due = 0;
    for (uint32_t i = 0; i < policy->slot_count; i++) {
        counts[policy->slots[i].state]++;
        due += slot_is_due(&policy->slots[i]);
    }
    return due == policy->due && memcmp(counts, policy->counts, sizeof counts) == 0;
}

static bool way_back_is_open(const struct policy *policy)
{
    const struct departure *whole = move_whole(policy), *left = move_find(policy, policy->fallback_place);
    if (!policy->fallback)
        return !whole || policy->state >= POOL_STOPPING;
    if (whole && whole->place != policy->fallback_place)
        return false;
    return policy->fallback_place == policy->place || (left && !left->refusing);
}

const char *policy_check(const struct policy *policy, int64_t now_ms)
{
    for (uint32_t i = 0; i < policy->slot_count; i++) {
        const char *broken = check_slot(policy, &policy->slots[i], now_ms);
        if (broken)
            return broken;
    }
    if (!counts_hold(policy))
        return "the counts are those of the slots";
    if (canaries(policy) > 1)
        return "there is one canary";
    if (policy->wanted < policy->floor)
        return "no fewer workers than the floor";
    if (!settings_static(policy->settings) && policy->wanted > policy->settings->workers_max)
        return "no more workers than workers.max";
    if (policy_is_open(policy) && too_many_recycle(policy))
        return "no more under replacement than max_recycling";
    if (policy_is_open(policy) && policy_capacity(policy) > policy_target(policy))
        return "no more workers than are wanted and succeed others, and none in a pause";
    if (policy->backoff.until_ms > now_ms + policy->settings->backoff_max_ms)
        return "no pause is longer than backoff.max";
    if (policy->state >= POOL_STOPPING && policy->stop_deadline_ms == NEVER_MS)
        return "every stop has an end";
    if (!way_back_is_open(policy))
        return "there is a way back to where the whole pool serves, and to no address that was left";
    return NULL;
}
