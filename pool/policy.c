/* The policy core; see policy.h. Each step: the event, then what has become due, then the number of workers.
 */
#include "pool/policy.h"

#include "pool/assert.h"

void policy_init(struct policy *policy, const struct settings *settings, struct slot *slots,
                 uint32_t slot_count)
{
    *policy = (struct policy){
        .settings = settings,
        .generation = 1,
        .spawn_reason = REASON_START,
        .stop_deadline_ms = NEVER_MS,
    };
    backoff_init(&policy->backoff);
    policy_grow(policy, slots, slot_count);
}

void policy_grow(struct policy *policy, struct slot *slots, uint32_t slot_count)
{
    ASSERT(slot_count >= policy->slot_count);
    for (uint32_t i = 0; i < policy->slot_count; i++)
        slots[i] = policy->slots[i];
    for (uint32_t i = policy->slot_count; i < slot_count; i++)
        slot_init(&slots[i]);
    policy->slots = slots;
    policy->slot_count = slot_count;
}

/* ---- acting on one worker ---- */

static void act(struct actions *actions, enum action_type type, const struct policy *policy,
                const struct slot *slot, enum reason reason)
{
    ASSERT(actions->count < actions->capacity);
    actions->items[actions->count++] = (struct action){
        .type = type,
        .reason = reason,
        .slot = slot ? (uint32_t)(slot - policy->slots) : 0,
        .incarnation = slot ? slot->incarnation : 0,
    };
}

static void act_state(struct policy *policy, enum pool_state state, struct actions *actions)
{
    policy->state = state;
    act(actions, ACTION_STATE, policy, NULL, REASON_NONE);
    actions->items[actions->count - 1].number = state;
}

static int64_t earlier(int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

static void spawn(struct policy *policy, struct slot *slot, int64_t now_ms, struct actions *actions)
{
    int64_t start_timeout_ms = policy->settings->start_timeout_ms;
    slot_move(slot, SLOT_STEP_SPAWN, start_timeout_ms ? now_ms + start_timeout_ms : NEVER_MS);
    slot->incarnation = ++policy->incarnations;
    slot->generation = policy->generation;
    slot->spawned_ms = now_ms;
    policy->stats.spawned++;
    act(actions, ACTION_SPAWN, policy, slot, policy->spawn_reason);
}

/* The one way out for a worker that we no longer want: scale-down, pause and stop alike. */
static void retire(struct policy *policy, struct slot *slot, enum reason reason, int64_t now_ms,
                   struct actions *actions)
{
    int64_t deadline_ms = earlier(now_ms + policy->settings->graceful_timeout_ms, policy->stop_deadline_ms);
    slot_move(slot, SLOT_STEP_RETIRE, deadline_ms);
    slot->retired_ms = now_ms;
    slot->reason = reason;
    act(actions, ACTION_RETIRE, policy, slot, reason);
}

static void abort_worker(struct policy *policy, struct slot *slot, enum reason reason, int64_t deadline_ms,
                         struct actions *actions)
{
    slot_move(slot, SLOT_STEP_ABORT, deadline_ms);
    slot->reason = reason;
    policy->stats.aborted++;
    act(actions, ACTION_ABORT, policy, slot, reason);
}

static void kill_worker(struct policy *policy, struct slot *slot, enum reason reason, int64_t now_ms,
                        struct actions *actions)
{
    slot_move(slot, SLOT_STEP_KILL, now_ms + POLICY_REAP_MS);
    policy->stats.killed++;
    act(actions, ACTION_KILL, policy, slot, reason);
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
    (void)event, (void)actions;
    policy->wanted = policy->settings->workers_min ? policy->settings->workers_min : 1;
}

static void on_time(struct policy *policy, const struct event *event, struct actions *actions)
{
    (void)policy, (void)event, (void)actions; /* what is due is looked for after every event */
}

static void on_ready(struct policy *policy, const struct event *event, struct actions *actions)
{
    struct slot *slot = event_slot(policy, event);
    (void)actions;
    if (!slot || slot->state != SLOT_STARTING)
        return;
    slot_move(slot, SLOT_STEP_READY, event->now_ms + POLICY_PROBATION_MS);
    backoff_accepted(&policy->backoff);
}

static void start_failed(struct policy *policy, const struct slot *slot, int64_t now_ms)
{
    policy->stats.start_failed++;
    backoff_failure(&policy->backoff, policy->settings, slot->spawned_ms, now_ms);
}

static void left_unasked(struct policy *policy, const struct slot *slot, bool clean, int64_t now_ms)
{
    bool young = slot->deadline_ms != NEVER_MS;
    *(clean ? &policy->stats.left : &policy->stats.crashed) += 1;
    if (young && clean)
        backoff_hold(&policy->backoff, policy->settings, now_ms);
    else if (young)
        backoff_failure(&policy->backoff, policy->settings, slot->spawned_ms, now_ms);
}

static void on_exited(struct policy *policy, const struct event *event, struct actions *actions)
{
    struct slot *slot = event_slot(policy, event);
    (void)actions;
    if (!slot)
        return;
    if (slot->state == SLOT_STARTING)
        start_failed(policy, slot, event->now_ms);
    else if (slot->state == SLOT_SERVING)
        left_unasked(policy, slot, event->number, event->now_ms);
    else
        policy->stats.retired++;
    if (slot_is_capacity(slot))
        policy->spawn_reason = REASON_REPLACE;
    slot_move(slot, SLOT_STEP_EXIT, NEVER_MS);
}

static void on_spawn_failed(struct policy *policy, const struct event *event, struct actions *actions)
{
    struct slot *slot = event_slot(policy, event);
    (void)actions;
    if (!slot)
        return;
    start_failed(policy, slot, event->now_ms);
    slot_move(slot, SLOT_STEP_EXIT, NEVER_MS);
}

static void want(struct policy *policy, int64_t workers, struct actions *actions)
{
    int64_t low, high;
    if (policy->state == POOL_STOPPING)
        return;
    policy_scale_range(policy, &low, &high);
    workers = workers < low ? low : workers > high ? high : workers;
    if (workers == policy->wanted)
        return;
    if (workers > policy->wanted)
        policy->spawn_reason = REASON_SCALE_UP;
    if (policy_count(policy, SLOT_SERVING) >= workers)
        backoff_reset(&policy->backoff); /* whatever failed, nothing is missing any more */
    policy->wanted = workers;
    act(actions, ACTION_WANT, policy, NULL, REASON_NONE);
    actions->items[actions->count - 1].number = (uint32_t)workers;
}

static void on_scale_to(struct policy *policy, const struct event *event, struct actions *actions)
{
    want(policy, event->number, actions);
}

static void on_scale_by(struct policy *policy, const struct event *event, struct actions *actions)
{
    ASSERT(event->number >= -POLICY_WORKERS_MAX && event->number <= POLICY_WORKERS_MAX);
    want(policy, policy->wanted + event->number, actions);
}

/* A limit holds at once for who is under it already. */
static void limit_slot(const struct policy *policy, struct slot *slot, int64_t now_ms)
{
    const struct settings *settings = policy->settings;
    if (slot->state == SLOT_STARTING)
        slot->deadline_ms =
            settings->start_timeout_ms ? slot->spawned_ms + settings->start_timeout_ms : NEVER_MS;
    else if (slot->state == SLOT_RETIRING)
        slot->deadline_ms =
            earlier(slot->retired_ms + settings->graceful_timeout_ms, policy->stop_deadline_ms);
    else if (slot->state == SLOT_ABORTING)
        slot->deadline_ms = earlier(slot->deadline_ms, now_ms + settings->abort_timeout_ms);
}

static void on_settings(struct policy *policy, const struct event *event, struct actions *actions)
{
    for (uint32_t i = 0; i < policy->slot_count; i++)
        limit_slot(policy, &policy->slots[i], event->now_ms);
    policy->backoff.until_ms =
        earlier(policy->backoff.until_ms, event->now_ms + policy->settings->backoff_max_ms);
    want(policy, policy->wanted, actions);
}

static void on_pause(struct policy *policy, const struct event *event, struct actions *actions)
{
    (void)event, (void)actions;
    if (policy->state < POOL_STOPPING)
        policy->resting = true;
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
    (void)event, (void)actions;
    if (policy->resting && policy->state < POOL_STOPPING)
        end_rest(policy, REASON_RESUME);
}

static void begin_stop(struct policy *policy, int64_t now_ms, struct actions *actions)
{
    act_state(policy, POOL_STOPPING, actions);
    policy->draining = true;
    policy->stop_deadline_ms = now_ms + policy->settings->graceful_timeout_ms;
    for (uint32_t i = 0; i < policy->slot_count; i++)
        if (policy->slots[i].state == SLOT_RETIRING)
            policy->slots[i].deadline_ms = earlier(policy->slots[i].deadline_ms, policy->stop_deadline_ms);
    act(actions, ACTION_REFUSE, policy, NULL, REASON_STOP);
}

static void abort_all(struct policy *policy, int64_t now_ms, struct actions *actions)
{
    int64_t deadline_ms = now_ms + earlier(policy->settings->abort_timeout_ms, POLICY_QUICK_MS);
    policy->draining = false;
    policy->stop_deadline_ms = earlier(policy->stop_deadline_ms, deadline_ms);
    for (uint32_t i = 0; i < policy->slot_count; i++) {
        struct slot *slot = &policy->slots[i];
        if (slot_is_capacity(slot) || slot->state == SLOT_RETIRING)
            abort_worker(policy, slot, REASON_STOP, deadline_ms, actions);
        else if (slot->state == SLOT_ABORTING)
            slot->deadline_ms = earlier(slot->deadline_ms, deadline_ms);
    }
}

static void retire_all(struct policy *policy, int64_t now_ms, struct actions *actions)
{
    policy->draining = false;
    for (uint32_t i = 0; i < policy->slot_count; i++)
        if (slot_is_capacity(&policy->slots[i]))
            retire(policy, &policy->slots[i], REASON_STOP, now_ms, actions);
}

static void on_stop_quick(struct policy *policy, const struct event *event, struct actions *actions)
{
    if (policy->state < POOL_STOPPING)
        begin_stop(policy, event->now_ms, actions);
    abort_all(policy, event->now_ms, actions);
}

static void on_stop(struct policy *policy, const struct event *event, struct actions *actions)
{
    if (policy->state < POOL_STOPPING)
        begin_stop(policy, event->now_ms, actions);
    else
        abort_all(policy, event->now_ms, actions);
}

/* Who stops a paused pool does not want the requests lost that wait in it. */
static void on_queue_waiting(struct policy *policy, const struct event *event, struct actions *actions)
{
    (void)event, (void)actions;
    if (policy->draining && policy->resting)
        end_rest(policy, REASON_QUEUE);
}

static void on_queue_empty(struct policy *policy, const struct event *event, struct actions *actions)
{
    if (policy->draining)
        retire_all(policy, event->now_ms, actions);
}

static void (*const on_event[EVENT_TYPES])(struct policy *, const struct event *, struct actions *) = {
    [EVENT_START] = on_start,
    [EVENT_TIME] = on_time,
    [EVENT_READY] = on_ready,
    [EVENT_EXITED] = on_exited,
    [EVENT_SPAWN_FAILED] = on_spawn_failed,
    [EVENT_SCALE_TO] = on_scale_to,
    [EVENT_SCALE_BY] = on_scale_by,
    [EVENT_SETTINGS] = on_settings,
    [EVENT_PAUSE] = on_pause,
    [EVENT_RESUME] = on_resume,
    [EVENT_STOP] = on_stop,
    [EVENT_STOP_QUICK] = on_stop_quick,
    [EVENT_QUEUE_WAITING] = on_queue_waiting,
    [EVENT_QUEUE_EMPTY] = on_queue_empty,
};

/* ---- time ---- */

static void expire(struct policy *policy, struct slot *slot, int64_t now_ms, struct actions *actions)
{
    if (slot->state == SLOT_STARTING) {
        start_failed(policy, slot, now_ms);
        abort_worker(policy, slot, REASON_START_TIMEOUT, now_ms + policy->settings->abort_timeout_ms,
                     actions);
    } else if (slot->state == SLOT_SERVING) { /* probation is over */
        slot->deadline_ms = NEVER_MS;
        backoff_reset(&policy->backoff);
    } else if (slot->state == SLOT_RETIRING) {
        policy->stats.cut++;
        slot->reason = REASON_GRACEFUL_TIMEOUT;
        kill_worker(policy, slot, REASON_GRACEFUL_TIMEOUT, now_ms, actions);
    } else if (slot->state == SLOT_ABORTING) {
        kill_worker(policy, slot, REASON_ABORT_TIMEOUT, now_ms, actions);
    } else { /* killed, but the kernel does not let go of it */
        slot->deadline_ms = NEVER_MS;
    }
}

static void expire_all(struct policy *policy, int64_t now_ms, struct actions *actions)
{
    if (policy->draining && policy->stop_deadline_ms <= now_ms)
        retire_all(policy, now_ms, actions);
    for (uint32_t i = 0; i < policy->slot_count; i++)
        if (policy->slots[i].deadline_ms <= now_ms)
            expire(policy, &policy->slots[i], now_ms, actions);
}

/* ---- the number of workers ---- */

/* True when `a` is to be retired rather than `b`: one that does not serve yet, then the oldest generation,
 * then the oldest worker. */
static bool is_less_wanted(const struct slot *a, const struct slot *b)
{
    if (a->state != b->state)
        return a->state == SLOT_STARTING;
    if (a->generation != b->generation)
        return a->generation < b->generation;
    return a->incarnation < b->incarnation;
}

static void shrink(struct policy *policy, int64_t now_ms, struct actions *actions)
{
    struct slot *least = &policy->slots[0];
    for (uint32_t i = 1; i < policy->slot_count; i++) {
        struct slot *slot = &policy->slots[i];
        if (slot_is_capacity(slot) && (!slot_is_capacity(least) || is_less_wanted(slot, least)))
            least = slot;
    }
    ASSERT(slot_is_capacity(least));
    retire(policy, least, policy->resting ? REASON_PAUSE : REASON_SCALE_DOWN, now_ms, actions);
}

/* How many starts are allowed now. */
static int64_t starts_allowed(const struct policy *policy, int64_t now_ms)
{
    int64_t limit = policy->backoff.failures ? 1 : policy->settings->max_starting;
    if (policy->backoff.until_ms > now_ms)
        return 0;
    return limit - policy_count(policy, SLOT_STARTING);
}

static void grow(struct policy *policy, int64_t missing, int64_t now_ms, struct actions *actions)
{
    int64_t allowed = starts_allowed(policy, now_ms);
    if (missing > allowed)
        missing = allowed;
    for (uint32_t i = 0; i < policy->slot_count && missing > 0; i++) {
        if (policy->slots[i].state == SLOT_EMPTY) {
            spawn(policy, &policy->slots[i], now_ms, actions);
            missing--;
        }
    }
}

static void balance(struct policy *policy, int64_t now_ms, struct actions *actions)
{
    int64_t surplus = policy_capacity(policy) - policy_target(policy);
    if (!policy_is_open(policy))
        return;
    grow(policy, -surplus, now_ms, actions);
    for (; surplus > 0; surplus--)
        shrink(policy, now_ms, actions);
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
    if (policy->state != POOL_RUNNING && !policy_count(policy, SLOT_SERVING))
        return POOL_STARTING;
    return POOL_RUNNING;
}

void policy_step(struct policy *policy, const struct event *event, struct actions *actions)
{
    ASSERT(actions->capacity >= 2 * policy->slot_count + 8);
    actions->count = 0;
    on_event[event->type](policy, event, actions);
    expire_all(policy, event->now_ms, actions);
    balance(policy, event->now_ms, actions);
    enum pool_state state = state_now(policy);
    if (state != policy->state)
        act_state(policy, state, actions);
}

int64_t policy_deadline(const struct policy *policy)
{
    int64_t deadline_ms = policy->draining ? policy->stop_deadline_ms : NEVER_MS;
    for (uint32_t i = 0; i < policy->slot_count; i++)
        deadline_ms = earlier(deadline_ms, policy->slots[i].deadline_ms);
    /* Missing workers wait for the backoff, unless they wait for an event anyway: a probe or a free slot. */
    if (policy_is_open(policy) && policy_capacity(policy) < policy_target(policy) &&
        policy_count(policy, SLOT_EMPTY) && starts_allowed(policy, policy->backoff.until_ms) > 0)
        deadline_ms = earlier(deadline_ms, policy->backoff.until_ms);
    return deadline_ms;
}
