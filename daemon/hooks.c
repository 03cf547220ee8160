/* Hooks; see hooks.h. */
#include "daemon/hooks.h"

#include "daemon/hook_call.h"
#include "daemon/master.h"

#include <inttypes.h>

static struct hook *hook_of(struct master *master, enum setting_id id)
{
    return &master->hooks.items[id - SETTING_ID_HOOK_ON_STARTING];
}

/* Takes it out of its list. */
static void drop(struct hook_call **at)
{
    struct hook_call *call = *at;
    *at = call->next;
    ev_timer_stop(call->master->loop, &call->limit);
    hook_call_free(call);
}

/* True while there is something to wait for. Who was killed is not, even if SIGKILL does not end it at once.
 */
static bool is_busy(const struct hooks *hooks)
{
    for (int i = 0; i < CONF_HOOKS; i++)
        for (const struct hook_call *call = hooks->items[i].calls; call; call = call->next)
            if (!call->killed)
                return true;
    return false;
}

/* ---- running ---- */

static void kill_call(struct hook_call *call, const char *why)
{
    ev_timer_stop(call->master->loop, &call->limit);
    hook_call_kill(call, why, &hook_of(call->master, call->id)->limit);
}

static void on_limit(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    kill_call(timer->data, "hooks.timeout has passed");
}

/* Returns whether it runs. */
static bool start(struct hook_call *call)
{
    struct master *master = call->master;
    if (!hook_call_start(call, &hook_of(master, call->id)->limit))
        return false;
    ev_now_update(master->loop);
    ev_timer_init(&call->limit, on_limit, (double)master->settings.hooks_timeout_ms / 1000.0, 0.0);
    call->limit.data = call;
    ev_timer_start(master->loop, &call->limit);
    return true;
}

/* The first that waits, if there is room. A reload may have taken away what it waits for. */
static void start_next(struct master *master, enum setting_id id)
{
    struct hook *hook = hook_of(master, id);
    struct hook_call **at = &hook->calls;
    if (!hook->waiting || hook->running == HOOKS_RUNNING_MAX)
        return;
    while ((*at)->pid)
        at = &(*at)->next;
    hook->waiting--;
    if (conf_hook(master->live, id) && start(*at))
        hook->running++;
    else
        drop(at);
}

/* One of each in a turn of the loop: a start takes its time, and those that end soon would have no end. */
static void on_turn(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct master *master = timer->data;
    (void)events;
    for (enum setting_id id = SETTING_ID_HOOK_ON_STARTING; id <= SETTING_ID_HOOK_ON_EXIT; id++) {
        const struct hook *hook = hook_of(master, id);
        start_next(master, id);
        if (hook->waiting && hook->running < HOOKS_RUNNING_MAX)
            ev_timer_start(loop, timer);
    }
}

/* Takes over the call. */
static void run(struct hook_call *call)
{
    struct master *master = call->master;
    struct hook *hook = hook_of(master, call->id);
    if (hook->waiting == HOOKS_WAITING_MAX) {
        hook->dropped++;
        log_limited(&hook->limit, LOG_LEVEL_WARNING,
                    "hook %s is left out: %u runs of it wait already; %" PRIu64 " were left out so far",
                    hook_name(call->id), hook->waiting, hook->dropped);
        drop(&call);
        return;
    }
    struct hook_call **end = &hook->calls;
    while (*end)
        end = &(*end)->next;
    *end = call;
    if (++hook->waiting == 1)
        start_next(master, call->id);
}

/* ---- what happens ---- */

void hooks_pool(struct master *master, enum setting_id hook)
{
    if (conf_hook(master->live, hook))
        run(hook_call_new(master, hook, master->policy.generation));
}

static struct hook_call *call_of_worker(struct master *master, enum setting_id id, uint32_t index)
{
    const struct slot *slot = &master->policy.slots[index];
    struct hook_call *call = hook_call_new(master, id, slot->generation);
    hook_call_tell(call, HOOK_SLOT, "%" PRIu32, index);
    hook_call_tell(call, HOOK_INCARNATION, "%" PRIu64, slot->incarnation);
    hook_call_tell(call, HOOK_PID, "%ld", (long)master->workers[index].pid);
    return call;
}

void hooks_worker(struct master *master, enum setting_id hook, uint32_t slot, const char *reason)
{
    if (!conf_hook(master->live, hook))
        return;
    struct hook_call *call = call_of_worker(master, hook, slot);
    if (reason)
        hook_call_tell(call, HOOK_REASON, "%s", reason);
    run(call);
}

void hooks_exited(struct master *master, uint32_t slot, const siginfo_t *death)
{
    enum setting_id hook = SETTING_ID_HOOK_WORKER_EXITED;
    char how[HOOK_DEATH_SIZE];
    if (!conf_hook(master->live, hook))
        return;
    struct hook_call *call = call_of_worker(master, hook, slot);
    hook_describe(death, how);
    hook_call_tell(call, HOOK_REASON, "%s", reason_text(master->policy.slots[slot].reason));
    hook_call_tell(call, HOOK_EXIT, "%s", how);
    run(call);
}

void hooks_workers(struct master *master)
{
    enum setting_id hook = SETTING_ID_HOOK_WORKERS_CHANGED;
    uint32_t before = master->hooks.workers, now = policy_count(&master->policy, SLOT_SERVING);
    if (now == before || hook_of(master, hook)->running)
        return;
    master->hooks.workers = now;
    if (!conf_hook(master->live, hook))
        return;
    struct hook_call *call = hook_call_new(master, hook, master->policy.generation);
    hook_call_tell(call, HOOK_WORKERS, "%" PRIu32, now);
    hook_call_tell(call, HOOK_WORKERS_BEFORE, "%" PRIu32, before);
    run(call);
}

static void bury(struct master *master, struct hook_call **at, const siginfo_t *death)
{
    struct hook *hook = hook_of(master, (*at)->id);
    hook_call_bury(*at, death, &hook->limit);
    drop(at);
    hook->running--;
    if (hook->waiting)
        ev_timer_start(master->loop, &master->hooks.turn);
    hooks_workers(master);
}

bool hooks_reap(struct master *master, const siginfo_t *death)
{
    for (int i = 0; i < CONF_HOOKS; i++)
        for (struct hook_call **at = &master->hooks.items[i].calls; *at; at = &(*at)->next)
            if ((*at)->pid == death->si_pid) {
                bury(master, at, death);
                return true;
            }
    return false;
}

/* ---- leaving ---- */

static void end_all(struct master *master)
{
    for (enum setting_id id = SETTING_ID_HOOK_ON_STARTING; id <= SETTING_ID_HOOK_ON_EXIT; id++) {
        struct hook *hook = hook_of(master, id);
        if (hook->waiting)
            log_warning("hook %s: %u runs that wait still are left out: the master leaves", hook_name(id),
                        hook->waiting);
        hook->waiting = 0;
        for (struct hook_call **at = &hook->calls; *at;) {
            if (!(*at)->pid) {
                drop(at);
                continue;
            }
            if (!(*at)->killed)
                kill_call(*at, "the master leaves");
            at = &(*at)->next;
        }
    }
}

static void on_patience(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct master *master = timer->data;
    (void)loop, (void)events;
    master->hooks.leaving = false;
}

static void wait_for_all(struct master *master)
{
    struct hooks *hooks = &master->hooks;
    int64_t limit_ms = master->settings.hooks_timeout_ms;
    if (hooks->hurried && limit_ms > POLICY_QUICK_MS)
        limit_ms = POLICY_QUICK_MS;
    ev_now_update(master->loop);
    ev_timer_init(&hooks->patience, on_patience, (double)limit_ms / 1000.0, 0.0);
    hooks->patience.data = master;
    ev_timer_start(master->loop, &hooks->patience);
    hooks->leaving = true;
    while (hooks->leaving && is_busy(hooks))
        ev_run(master->loop, EVRUN_ONCE);
    hooks->leaving = false;
    ev_timer_stop(master->loop, &hooks->patience);
    end_all(master);
}

static void run_on_exit(struct master *master)
{
    enum setting_id hook = SETTING_ID_HOOK_ON_EXIT;
    if (!conf_hook(master->live, hook))
        return;
    struct hook_call *call = hook_call_new(master, hook, master->policy.generation);
    if (upgrade_has_heir(master))
        hook_call_tell(call, HOOK_SUCCESSOR, "%ld", (long)master->upgrade.pid);
    run(call);
}

void hooks_leave(struct master *master)
{
    wait_for_all(master);
    run_on_exit(master);
    wait_for_all(master);
}

void hooks_hurry(struct master *master)
{
    master->hooks.leaving = false;
    master->hooks.hurried = true;
}

void hooks_init(struct master *master)
{
    ev_timer_init(&master->hooks.turn, on_turn, 0.0, 0.0);
    master->hooks.turn.data = master;
}

void hooks_fini(struct master *master)
{
    ev_timer_stop(master->loop, &master->hooks.turn);
    for (int i = 0; i < CONF_HOOKS; i++)
        while (master->hooks.items[i].calls)
            drop(&master->hooks.items[i].calls);
}
