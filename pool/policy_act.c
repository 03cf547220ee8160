/* What the policy does to one worker; see policy_act.h. */
#include "pool/policy_act.h"

#include "pool/assert.h"
#include "pool/number.h"
#include "pool/recycle.h"

static void add(struct actions *actions, const struct action *action)
{
    ASSERT(actions->count < actions->capacity);
    actions->items[actions->count++] = *action;
}

static void uncount(struct policy *policy, const struct slot *slot)
{
    policy->counts[slot->state]--;
    policy->due -= slot_is_due(slot);
}

static void count(struct policy *policy, const struct slot *slot)
{
    policy->counts[slot->state]++;
    policy->due += slot_is_due(slot);
}

void policy_move(struct policy *policy, struct slot *slot, enum slot_step step, int64_t deadline_ms)
{
    uncount(policy, slot);
    slot_move(slot, step, deadline_ms);
    count(policy, slot);
}

void policy_mark(struct policy *policy, struct slot *slot, enum reason due)
{
    uncount(policy, slot);
    slot->due = due;
    count(policy, slot);
}

void policy_act(enum action_type type, uint32_t number, enum reason reason, struct actions *actions)
{
    add(actions, &(struct action){.type = type, .number = number, .reason = reason});
}

void policy_enter(struct policy *policy, enum pool_state state, struct actions *actions)
{
    policy->state = state;
    policy_act(ACTION_STATE, state, REASON_NONE, actions);
}

static void act(struct actions *actions, enum action_type type, const struct policy *policy,
                const struct slot *slot, enum reason reason)
{
    add(actions, &(struct action){.type = type,
                                  .reason = reason,
                                  .slot = (uint32_t)(slot - policy->slots),
                                  .incarnation = slot->incarnation});
}

static uint32_t free_number(const struct policy *policy, uint64_t generation, uint64_t place)
{
    struct numbers numbers;
    numbers_of_staying(policy, place, generation == policy->candidate, &numbers);
    return numbers_free(&numbers);
}

void policy_spawn(struct policy *policy, struct slot *slot, uint64_t generation, uint64_t place,
                  enum reason reason, int64_t now_ms, struct actions *actions)
{
    int64_t start_timeout_ms = policy->settings->start_timeout_ms;
    uint32_t number = free_number(policy, generation, place);
    policy_move(policy, slot, SLOT_STEP_SPAWN, start_timeout_ms ? now_ms + start_timeout_ms : NEVER_MS);
    slot->incarnation = ++policy->incarnations;
    slot->generation = generation;
    slot->place = place;
    slot->number = number;
    slot->spawned_ms = now_ms;
    recycle_draw(policy, slot);
    policy->stats.spawned++;
    act(actions, ACTION_SPAWN, policy, slot, reason);
}

void policy_retire(struct policy *policy, struct slot *slot, enum reason reason, int64_t now_ms,
                   struct actions *actions)
{
    int64_t deadline_ms = now_ms + policy->settings->graceful_timeout_ms;
    policy_move(policy, slot, SLOT_STEP_RETIRE, earlier_ms(deadline_ms, policy->stop_deadline_ms));
    slot->retired_ms = now_ms;
    slot->reason = reason;
    act(actions, ACTION_RETIRE, policy, slot, reason);
}

void policy_abort(struct policy *policy, struct slot *slot, enum reason reason, int64_t deadline_ms,
                  struct actions *actions)
{
    policy_move(policy, slot, SLOT_STEP_ABORT, deadline_ms);
    slot->reason = reason;
    policy->stats.aborted++;
    act(actions, ACTION_ABORT, policy, slot, reason);
}

void policy_kill(struct policy *policy, struct slot *slot, enum reason reason, int64_t now_ms,
                 struct actions *actions)
{
    policy_move(policy, slot, SLOT_STEP_KILL, now_ms + POLICY_REAP_MS);
    policy->stats.killed++;
    act(actions, ACTION_KILL, policy, slot, reason);
}
