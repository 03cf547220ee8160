/* The number of workers; see policy_balance.h. */
#include "pool/policy_balance.h"

#include "pool/assert.h"
#include "pool/move.h"
#include "pool/policy_act.h"
#include "pool/recycle.h"
#include "pool/rollout.h"

/* True when `a` is to be retired rather than `b`: one that does not serve yet, then one that is due anyway,
 * then one that is idle, then the oldest worker or, where numbers matter, the one that has the highest. */
static bool is_less_wanted(const struct policy *policy, const struct slot *a, const struct slot *b)
{
    if (a->state != b->state)
        return a->state == SLOT_STARTING;
    if ((a->due != REASON_NONE) != (b->due != REASON_NONE))
        return a->due != REASON_NONE;
    if (a->busy != b->busy)
        return b->busy;
    if (policy->numbered)
        return a->number > b->number;
    return a->incarnation < b->incarnation;
}

static void shrink(struct policy *policy, int64_t now_ms, struct actions *actions)
{
    struct slot *least = NULL;
    for (uint32_t i = 0; i < policy->slot_count; i++) {
        struct slot *slot = &policy->slots[i];
        if (slot_is_capacity(slot) && !rollout_is_canary(policy, slot) && !move_is_apart(policy, slot) &&
            (!least || is_less_wanted(policy, slot, least)))
            least = slot;
    }
    ASSERT(least);
    enum reason reason = policy->resting ? REASON_PAUSE : policy->dry ? REASON_STOP : REASON_SCALE_DOWN;
    policy_retire(policy, least, reason, now_ms, actions);
}

/* Whoever failed to start is not needed any more, when nobody is missing and nobody has to prove himself. */
static void forget_failures(struct policy *policy)
{
    if (!policy->backoff.failures || policy_serving(policy) < policy_target(policy))
        return;
    for (uint32_t i = 0; i < policy->slot_count; i++)
        if (policy->slots[i].state == SLOT_SERVING && policy->slots[i].deadline_ms != NEVER_MS)
            return;
    backoff_reset(&policy->backoff);
}

/* Who is due goes when its successor serves; while starts fail, only when that one has proved itself. */
static void recycle(struct policy *policy, int64_t now_ms, struct actions *actions)
{
    while (!policy->backoff.failures && policy_serving(policy) > policy->wanted) {
        struct slot *slot = recycle_next(policy);
        ASSERT(slot); /* or there were too many */
        recycle_count(policy, slot);
        policy_retire(policy, slot, slot->due, now_ms, actions);
    }
}

/* How many starts are allowed now, beside a canary and those at addresses that are left. */
static int64_t starts_allowed(const struct policy *policy, int64_t now_ms)
{
    int64_t starting = policy_capacity(policy) - policy_serving(policy) - rollout_has_canary(policy);
    if (policy->backoff.until_ms > now_ms)
        return 0;
    return (policy->backoff.failures ? 1 : policy->settings->max_starting) - starting;
}

static struct slot *empty_slot(const struct policy *policy)
{
    for (uint32_t i = 0; i < policy->slot_count; i++)
        if (policy->slots[i].state == SLOT_EMPTY)
            return &policy->slots[i];
    return NULL;
}

/* It comes before other successors, and does not wait for what those have to wait for that fail or hang. */
static void start_canary(struct policy *policy, int64_t now_ms, struct actions *actions)
{
    struct slot *slot = empty_slot(policy);
    int64_t successors = policy_capacity(policy) - policy->wanted;
    if (slot && policy->candidate && !rollout_has_canary(policy) &&
        recycle_room(policy) > (successors > 0 ? successors : 0))
        policy_spawn(policy, slot, policy->candidate, policy->candidate_place, REASON_CANARY, now_ms,
                     actions);
}

static void grow(struct policy *policy, int64_t now_ms, struct actions *actions)
{
    int64_t capacity = policy_capacity(policy), target = policy_target(policy);
    int64_t allowed = starts_allowed(policy, now_ms);
    int64_t canaries = rollout_has_canary(policy);
    if (target > capacity + allowed)
        target = capacity + allowed;
    for (uint32_t i = 0; i < policy->slot_count && capacity < target; i++) {
        if (policy->slots[i].state == SLOT_EMPTY) {
            bool successor = capacity - canaries >= policy->wanted;
            policy_spawn(policy, &policy->slots[i], policy->generation, policy->place,
                         successor ? REASON_SUCCEED : policy->spawn_reason, now_ms, actions);
            capacity++;
        }
    }
}

void policy_balance(struct policy *policy, int64_t now_ms, struct actions *actions)
{
    int64_t surplus;
    if (!policy_is_open(policy))
        return;
    recycle_order(policy);
    /* Again, for with who was due goes the need for a successor. */
    while ((surplus = policy_capacity(policy) - policy_target(policy)) > 0)
        for (; surplus > 0; surplus--)
            shrink(policy, now_ms, actions);
    forget_failures(policy);
    recycle(policy, now_ms, actions);
    start_canary(policy, now_ms, actions);
    move_balance(policy, now_ms, actions);
    grow(policy, now_ms, actions);
}

int64_t policy_balance_deadline(const struct policy *policy)
{
    /* Those who are missing may also wait for an event: a probe or a free slot. */
    bool waits = policy_is_open(policy) && policy_capacity(policy) < policy_target(policy) &&
                 policy_count(policy, SLOT_EMPTY) && starts_allowed(policy, policy->backoff.until_ms) > 0;
    return waits ? policy->backoff.until_ms : NEVER_MS;
}
