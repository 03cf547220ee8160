/* The policy core; see policy.h. Each step: the event, then what has become due, then the number of workers.
 */
#include "pool/policy.h"

#include "pool/assert.h"
#include "pool/move.h"
#include "pool/policy_act.h"
#include "pool/policy_balance.h"
#include "pool/policy_loss.h"
#include "pool/policy_stop.h"
#include "pool/policy_want.h"
#include "pool/recycle.h"
#include "pool/rollout.h"

void policy_init(struct policy *policy, const struct settings *settings, struct slot *slots,
                 uint32_t slot_count, uint64_t seed)
{
    *policy = (struct policy){
        .settings = settings,
        .generations = 1,
        .generation = 1,
        .ceiling = INT64_MAX,
        .spawn_reason = REASON_START,
        .chance = seed,
        .stop_deadline_ms = NEVER_MS,
    };
    backoff_init(&policy->backoff);
    scaling_init(&policy->scaling);
    saturation_init(&policy->saturation);
    policy_grow(policy, slots, slot_count);
}

void policy_succeed(struct policy *policy, uint64_t generation, int64_t floor, int64_t wanted)
{
    policy->generation = policy->generations = generation;
    policy->floor = floor;
    policy->wanted = wanted;
}

void policy_number(struct policy *policy, bool numbered)
{
    policy->numbered = numbered;
}

void policy_add_stats(struct policy *policy, const struct stats *stats)
{
#define STAT(field, help) policy->stats.field += stats->field;
#include "pool/stats.def"
#undef STAT
}

void policy_grow(struct policy *policy, struct slot *slots, uint32_t slot_count)
{
    ASSERT(slot_count >= policy->slot_count);
    for (uint32_t i = 0; i < policy->slot_count; i++)
        slots[i] = policy->slots[i];
    for (uint32_t i = policy->slot_count; i < slot_count; i++)
        slot_init(&slots[i]);
    policy->counts[SLOT_EMPTY] += slot_count - policy->slot_count;
    policy->slots = slots;
    policy->slot_count = slot_count;
}

/* ---- events ---- */

/* The slot that the event is about, or NULL when it comes from a former incarnation. */
static struct slot *event_slot(const struct policy *policy, const struct event *event)
{
    ASSERT(event->slot < policy->slot_count);
    struct slot *slot = &policy->slots[event->slot];
    return slot->incarnation == event->incarnation ? slot : NULL;
}

static void on_start(struct policy *policy, const struct event *event, struct actions *actions)
{
    (void)actions;
    policy_want_start(policy, event->now_ms);
}

static void on_time(struct policy *policy, const struct event *event, struct actions *actions)
{
    (void)policy, (void)event, (void)actions; /* what is due is looked for after every event */
}

static void on_ready(struct policy *policy, const struct event *event, struct actions *actions)
{
    struct slot *slot = event_slot(policy, event);
    if (!slot || slot->state != SLOT_STARTING)
        return;
    scaling_started(&policy->scaling, event->now_ms - slot->spawned_ms);
    policy_move(policy, slot, SLOT_STEP_READY, event->now_ms + POLICY_PROBATION_MS);
    if (rollout_is_canary(policy, slot))
        rollout_proved(policy, event->now_ms, actions);
    if (!move_is_apart(policy, slot))
        backoff_accepted(&policy->backoff);
}

static void on_exited(struct policy *policy, const struct event *event, struct actions *actions)
{
    struct slot *slot = event_slot(policy, event);
    ASSERT(event->number < EXIT_CAUSES);
    if (slot)
        policy_exited(policy, slot, (enum exit_cause)event->number, event->now_ms, actions);
}

static void on_spawn_failed(struct policy *policy, const struct event *event, struct actions *actions)
{
    struct slot *slot = event_slot(policy, event);
    if (!slot)
        return;
    policy_start_failed(policy, slot, REASON_CANARY_FAILED, event->now_ms, actions);
    policy_move(policy, slot, SLOT_STEP_EXIT, NEVER_MS);
}

static void on_recycle(struct policy *policy, const struct event *event, struct actions *actions)
{
    struct slot *slot = event_slot(policy, event);
    (void)actions;
    ASSERT(event->number == REASON_MAX_REQUESTS || event->number == REASON_MAX_MEMORY ||
           event->number == REASON_NONE);
    bool forgiven = event->number == REASON_NONE;
    if (slot && slot_is_capacity(slot) && slot->due == (forgiven ? REASON_MAX_REQUESTS : REASON_NONE))
        policy_mark(policy, slot, forgiven ? rollout_due(policy, slot) : (enum reason)event->number);
}

/* A request is older than `timeout`, and nothing else is in the worker's hand that is worth waiting for. */
static void time_out(struct policy *policy, struct slot *slot, int64_t now_ms, struct actions *actions)
{
    if (slot->state == SLOT_SERVING)
        policy->spawn_reason = REASON_SUCCEED;
    policy->stats.timeouts++;
    policy_abort(policy, slot, REASON_TIMEOUT, now_ms + policy->settings->abort_timeout_ms, actions);
}

static void on_overdue(struct policy *policy, const struct event *event, struct actions *actions)
{
    struct slot *slot = event_slot(policy, event);
    if (!slot || (slot->state != SLOT_SERVING && slot->state != SLOT_RETIRING) ||
        !policy->settings->timeout_ms)
        return;
    if (event->number == 0) {
        time_out(policy, slot, event->now_ms, actions);
        return;
    }
    slot->overdue_ms = earlier_ms(slot->overdue_ms, event->now_ms);
    if (slot->state == SLOT_SERVING && slot->due == REASON_NONE)
        policy_mark(policy, slot, REASON_TIMEOUT);
}

static void on_in_time(struct policy *policy, const struct event *event, struct actions *actions)
{
    struct slot *slot = event_slot(policy, event);
    (void)actions;
    if (slot)
        slot->overdue_ms = NEVER_MS;
}

static void on_load(struct policy *policy, const struct event *event, struct actions *actions)
{
    policy_want_load(policy, &event->load, event->now_ms, actions);
}

static void on_memory(struct policy *policy, const struct event *event, struct actions *actions)
{
    (void)actions; /* wants are looked at after every event */
    policy->ceiling = event->number;
}

static void on_scale_to(struct policy *policy, const struct event *event, struct actions *actions)
{
    policy_want(policy, event->number, event->now_ms, actions);
}

static void on_scale_by(struct policy *policy, const struct event *event, struct actions *actions)
{
    ASSERT(event->number >= -POLICY_WORKERS_MAX && event->number <= POLICY_WORKERS_MAX);
    policy_want(policy, policy->floor + event->number, event->now_ms, actions);
}

/* A limit holds at once for who is under it already. */
static void limit_slot(struct policy *policy, struct slot *slot, int64_t now_ms)
{
    const struct settings *settings = policy->settings;
    if (slot->state == SLOT_STARTING)
        slot->deadline_ms =
            settings->start_timeout_ms ? slot->spawned_ms + settings->start_timeout_ms : NEVER_MS;
    else if (slot->state == SLOT_RETIRING)
        slot->deadline_ms =
            earlier_ms(slot->retired_ms + settings->graceful_timeout_ms, policy->stop_deadline_ms);
    else if (slot->state == SLOT_ABORTING)
        slot->deadline_ms = earlier_ms(slot->deadline_ms, now_ms + settings->abort_timeout_ms);
    if (!settings->timeout_ms)
        slot->overdue_ms = NEVER_MS;
    if (!recycle_is_still_due(policy, slot, now_ms))
        policy_mark(policy, slot, rollout_due(policy, slot));
}

static void on_settings(struct policy *policy, const struct event *event, struct actions *actions)
{
    for (uint32_t i = 0; i < policy->slot_count; i++)
        limit_slot(policy, &policy->slots[i], event->now_ms);
    move_limit(policy, event->now_ms);
    policy->backoff.until_ms =
        earlier_ms(policy->backoff.until_ms, event->now_ms + policy->settings->backoff_max_ms);
    policy_want(policy, policy->floor, event->now_ms, actions);
}

/* In one step: what the new settings end is not taken for the new generation's. */
static void on_roll_out(struct policy *policy, const struct event *event, struct actions *actions)
{
    if (policy->state >= POOL_STOPPING)
        return;
    rollout_begin(policy, (uint64_t)event->number, event->now_ms, actions);
    on_settings(policy, event, actions);
}

static void on_pause(struct policy *policy, const struct event *event, struct actions *actions)
{
    if (policy->state >= POOL_STOPPING)
        return;
    policy->resting = true;
    rollout_cancel(policy, REASON_PAUSE, event->now_ms, actions);
}

/* What failed before the pause does not hold up anybody after it. */
static void end_rest(struct policy *policy, enum reason reason)
{
    policy->resting = false;
    policy->spawn_reason = reason;
    backoff_init(&policy->backoff);
}

static void on_resume(struct policy *policy, const struct event *event, struct actions *actions)
{
    (void)actions;
    if (!policy->resting || policy->state >= POOL_STOPPING)
        return;
    end_rest(policy, REASON_RESUME);
    move_extend(policy, event->now_ms);
}

static void on_stop(struct policy *policy, const struct event *event, struct actions *actions)
{
    policy_stop(policy, event->now_ms, actions);
}

static void on_stop_quick(struct policy *policy, const struct event *event, struct actions *actions)
{
    policy_stop_quick(policy, event->now_ms, actions);
}

/* Who stops a paused pool does not want the requests lost that wait in it. */
static void on_queue_waiting(struct policy *policy, const struct event *event, struct actions *actions)
{
    (void)actions;
    move_waits(policy, (uint64_t)event->number);
    if (policy->draining && policy->resting)
        end_rest(policy, REASON_QUEUE);
}

static void on_queue_empty(struct policy *policy, const struct event *event, struct actions *actions)
{
    if (policy->draining)
        policy_stop_drained(policy, event->now_ms, actions);
}

/* In a stop that is not yet so at other addresses. */
static void on_drained(struct policy *policy, const struct event *event, struct actions *actions)
{
    uint64_t place = (uint64_t)event->number;
    if (place == policy->place)
        policy->dry = policy->draining;
    else
        move_drained(policy, place, event->now_ms, actions);
}

static void (*const on_event[EVENT_TYPES])(struct policy *, const struct event *, struct actions *) = {
    [EVENT_START] = on_start,
    [EVENT_TIME] = on_time,
    [EVENT_READY] = on_ready,
    [EVENT_EXITED] = on_exited,
    [EVENT_SPAWN_FAILED] = on_spawn_failed,
    [EVENT_RECYCLE] = on_recycle,
    [EVENT_OVERDUE] = on_overdue,
    [EVENT_IN_TIME] = on_in_time,
    [EVENT_LOAD] = on_load,
    [EVENT_MEMORY] = on_memory,
    [EVENT_SCALE_TO] = on_scale_to,
    [EVENT_SCALE_BY] = on_scale_by,
    [EVENT_SETTINGS] = on_settings,
    [EVENT_ROLL_OUT] = on_roll_out,
    [EVENT_PAUSE] = on_pause,
    [EVENT_RESUME] = on_resume,
    [EVENT_STOP] = on_stop,
    [EVENT_STOP_QUICK] = on_stop_quick,
    [EVENT_QUEUE_WAITING] = on_queue_waiting,
    [EVENT_QUEUE_EMPTY] = on_queue_empty,
    [EVENT_DRAINED] = on_drained,
};

/* ---- time ---- */

static void expire(struct policy *policy, struct slot *slot, int64_t now_ms, struct actions *actions)
{
    if (slot->state == SLOT_STARTING) {
        policy_start_failed(policy, slot, REASON_START_TIMEOUT, now_ms, actions);
        policy_abort(policy, slot, REASON_START_TIMEOUT, now_ms + policy->settings->abort_timeout_ms,
                     actions);
    } else if (slot->state == SLOT_SERVING) { /* probation is over */
        slot->deadline_ms = NEVER_MS;
        if (!move_is_apart(policy, slot))
            backoff_reset(&policy->backoff);
    } else if (slot->state == SLOT_RETIRING) {
        policy->stats.cut++;
        slot->reason = REASON_GRACEFUL_TIMEOUT;
        policy_kill(policy, slot, REASON_GRACEFUL_TIMEOUT, now_ms, actions);
    } else if (slot->state == SLOT_ABORTING) {
        policy_kill(policy, slot, REASON_ABORT_TIMEOUT, now_ms, actions);
    } else { /* killed, but the kernel does not let go of it */
        slot->deadline_ms = NEVER_MS;
    }
}

static void expire_all(struct policy *policy, int64_t now_ms, struct actions *actions)
{
    if (policy->draining && policy->stop_deadline_ms <= now_ms)
        policy_stop_drained(policy, now_ms, actions);
    move_expire(policy, now_ms, actions);
    for (uint32_t i = 0; i < policy->slot_count; i++) {
        struct slot *slot = &policy->slots[i];
        if (slot->deadline_ms <= now_ms)
            expire(policy, slot, now_ms, actions);
        if (recycle_is_hung(policy, slot, now_ms))
            time_out(policy, slot, now_ms, actions);
        if (recycle_is_old(policy, slot, now_ms))
            policy_mark(policy, slot, REASON_MAX_LIFETIME);
    }
}

/* ---- the pool's state ---- */

static enum pool_state state_now(const struct policy *policy)
{
    if (policy->state >= POOL_STOPPING)
        return !policy->draining && policy_live(policy) == 0 ? POOL_STOPPED : policy->state;
    if (policy->resting)
        return POOL_PAUSED;
    if (policy->backoff.failures >= policy->settings->failures)
        return POOL_FAILING;
    if (policy->state != POOL_RUNNING && policy->wanted && !policy_count(policy, SLOT_SERVING))
        return POOL_STARTING;
    return POOL_RUNNING;
}

void policy_step(struct policy *policy, const struct event *event, struct actions *actions)
{
    ASSERT(actions->capacity >= 2 * policy->slot_count + 8);
    actions->count = 0;
    on_event[event->type](policy, event, actions);
    expire_all(policy, event->now_ms, actions);
    policy_want_pass(policy, event->now_ms, actions);
    rollout_turn(policy, event->now_ms, actions);
    policy_balance(policy, event->now_ms, actions);
    move_turn(policy, event->now_ms, actions);
    rollout_end(policy, actions);
    enum pool_state state = state_now(policy);
    if (state != policy->state)
        policy_enter(policy, state, actions);
}

int64_t policy_deadline(const struct policy *policy)
{
    int64_t deadline_ms = policy->draining ? policy->stop_deadline_ms : NEVER_MS;
    for (uint32_t i = 0; i < policy->slot_count; i++) {
        deadline_ms = earlier_ms(deadline_ms, policy->slots[i].deadline_ms);
        deadline_ms = earlier_ms(deadline_ms, recycle_deadline(policy, &policy->slots[i]));
    }
    deadline_ms = earlier_ms(deadline_ms, policy_want_deadline(policy));
    deadline_ms = earlier_ms(deadline_ms, move_deadline(policy));
    return earlier_ms(deadline_ms, policy_balance_deadline(policy));
}
