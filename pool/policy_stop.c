/* The end of the pool; see policy_stop.h. */
#include "pool/policy_stop.h"

#include "pool/policy_act.h"
#include "pool/rollout.h"

static void begin(struct policy *policy, int64_t now_ms, struct actions *actions)
{
    policy_enter(policy, POOL_STOPPING, actions);
    policy->draining = true;
    policy->stop_deadline_ms = now_ms + policy->settings->graceful_timeout_ms;
    for (uint32_t i = 0; i < policy->slot_count; i++)
        if (policy->slots[i].state == SLOT_RETIRING)
            policy->slots[i].deadline_ms = earlier_ms(policy->slots[i].deadline_ms, policy->stop_deadline_ms);
    rollout_cancel(policy, REASON_STOP, now_ms, actions);
    policy->fallback = 0; /* whose address may be left before the others are */
    policy_act(ACTION_REFUSE, 0, REASON_STOP, actions);
}

static void abort_all(struct policy *policy, int64_t now_ms, struct actions *actions)
{
    int64_t deadline_ms = now_ms + earlier_ms(policy->settings->abort_timeout_ms, POLICY_QUICK_MS);
    policy->draining = false;
    policy->stop_deadline_ms = earlier_ms(policy->stop_deadline_ms, deadline_ms);
    for (uint32_t i = 0; i < policy->slot_count; i++) {
        struct slot *slot = &policy->slots[i];
        if (slot_is_capacity(slot) || slot->state == SLOT_RETIRING)
            policy_abort(policy, slot, REASON_STOP, deadline_ms, actions);
        else if (slot->state == SLOT_ABORTING)
            slot->deadline_ms = earlier_ms(slot->deadline_ms, deadline_ms);
    }
}

void policy_stop(struct policy *policy, int64_t now_ms, struct actions *actions)
{
    if (policy->state < POOL_STOPPING)
        begin(policy, now_ms, actions);
    else
        abort_all(policy, now_ms, actions);
}

void policy_stop_quick(struct policy *policy, int64_t now_ms, struct actions *actions)
{
    if (policy->state < POOL_STOPPING)
        begin(policy, now_ms, actions);
    abort_all(policy, now_ms, actions);
}

void policy_stop_drained(struct policy *policy, int64_t now_ms, struct actions *actions)
{
    policy->draining = false;
    for (uint32_t i = 0; i < policy->slot_count; i++)
        if (slot_is_capacity(&policy->slots[i]))
            policy_retire(policy, &policy->slots[i], REASON_STOP, now_ms, actions);
}
