/* Workers that are lost; see policy_loss.h. */
#include "pool/policy_loss.h"

#include "pool/move.h"
#include "pool/policy_act.h"
#include "pool/rollout.h"

void policy_start_failed(struct policy *policy, const struct slot *slot, enum reason reason, int64_t now_ms,
                         struct actions *actions)
{
    policy->stats.start_failed++;
    if (rollout_is_canary(policy, slot))
        rollout_failed(policy, reason, actions);
    else if (move_is_apart(policy, slot))
        move_failed(policy, slot, now_ms);
    else
        backoff_failure(&policy->backoff, policy->settings, slot->spawned_ms, now_ms);
}

/* What a worker does tells of those to come. */
static bool is_of_now(const struct policy *policy, const struct slot *slot)
{
    return slot->generation == policy->generation;
}

/* Who leaves by itself after a request, as at a limit of its own, works; whatever failed before it. */
static void left_unasked(struct policy *policy, const struct slot *slot, enum exit_cause cause,
                         int64_t now_ms)
{
    bool soon = slot->state == SLOT_STARTING || slot->deadline_ms != NEVER_MS;
    bool young = soon && is_of_now(policy, slot);
    bool failed = cause == EXIT_CAUSE_CODE || cause == EXIT_CAUSE_SIGNAL;
    policy->stats.left += !failed;
    policy->stats.crashed += failed;
    policy->stats.crashed_code += cause == EXIT_CAUSE_CODE;
    policy->stats.crashed_signal += cause == EXIT_CAUSE_SIGNAL;
    if (soon && cause != EXIT_CAUSE_SERVED && move_is_apart(policy, slot))
        move_failed(policy, slot, now_ms);
    else if (young && failed)
        backoff_failure(&policy->backoff, policy->settings, slot->spawned_ms, now_ms);
    else if (young && cause == EXIT_CAUSE_CLEAN)
        backoff_hold(&policy->backoff, policy->settings, now_ms);
    else if (young)
        backoff_reset(&policy->backoff);
}

void policy_exited(struct policy *policy, struct slot *slot, enum exit_cause cause, int64_t now_ms,
                   struct actions *actions)
{
    if (slot_is_leaving(slot))
        policy->stats.retired++;
    else if (slot->state == SLOT_STARTING && cause != EXIT_CAUSE_SERVED)
        policy_start_failed(policy, slot, REASON_CANARY_FAILED, now_ms, actions);
    else
        left_unasked(policy, slot, cause, now_ms);
    if (rollout_is_canary(policy, slot))
        rollout_proved(policy, now_ms, actions);
    if (slot_is_capacity(slot))
        policy->spawn_reason = REASON_REPLACE;
    policy_move(policy, slot, SLOT_STEP_EXIT, NEVER_MS);
}
