/* The policy's actions, executed; see act.h. */
#include "daemon/act.h"

#include "daemon/listen.h"
#include "daemon/master.h"
#include "daemon/observe.h"
#include "daemon/recent.h"
#include "daemon/retirements.h"
#include "daemon/start.h"
#include "pool/assert.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

static void act_want(struct master *master, const struct action *action)
{
    const struct scaling *scaling = &master->policy.scaling;
    const struct load *load = &scaling->load;
    if (action->reason == REASON_NONE)
        log_info("pool %s: %u workers are wanted", master->name, action->number);
    else if (action->reason == REASON_LOAD)
        log_limited(
            &master->limit_want, LOG_LEVEL_INFO,
            "pool %s: %u workers are wanted: %u of %u are busy, %u connections wait; work for %u, and "
            "%u to spare",
            master->name, action->number, load->busy, load->places, load->queued, scaling->demand,
            scaling->spare);
    else
        log_limited(&master->limit_want, LOG_LEVEL_INFO,
                    "pool %s: %u workers are wanted: there was no work for more within idle_timeout",
                    master->name, action->number);
}

static void act_saturated(struct master *master, const struct action *action)
{
    const struct load *load = &master->policy.scaling.load;
    if (action->number)
        log_warning("pool %s: there is more work than it may have workers for: %u of %u are busy, %u "
                    "connections wait",
                    master->name, load->busy, load->places, load->queued);
    else
        log_info("pool %s: its workers keep up again", master->name);
}

static void act_spawn(struct master *master, const struct action *action)
{
    start_worker(master, action->slot, action->reason);
}

static void act_retire(struct master *master, const struct action *action)
{
    struct worker *worker = &master->workers[action->slot];
    if (start_is_given_up(master, action->slot, action->reason))
        return;
    log_info("worker %u pid %ld retires: %s", action->slot, (long)worker->pid, reason_text(action->reason));
    worker->drain = (struct drain){0};
    retire_cancel(&worker->retirement); /* it may be stopped: a start that was late */
    worker->retirement = (struct retirement){.group = worker->pid};
    if (worker->page) {
        __atomic_store_n(&worker->page->orders.drain, 1, __ATOMIC_SEQ_CST);
        /* Who waits is looked at after that, so that nobody is signalled who could not know of it. */
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    }
    retirements_start(master);
}

/* A halted worker must run to see the signal, and to die of it. */
static void signal_worker(struct worker *worker, int signal_number)
{
    ASSERT(worker->pid > 1);
    if (kill(worker->headless ? -worker->pid : worker->pid, signal_number))
        log_warning("pid %ld: signal %d could not be sent: %s", (long)worker->pid, signal_number,
                    strerror(errno));
    if (signal_number == SIGKILL)
        kill(-worker->pid, SIGKILL);
    if (worker->retirement.group)
        retire_cancel(&worker->retirement);
    worker->retirement = (struct retirement){0};
}

static void act_abort(struct master *master, const struct action *action)
{
    struct worker *worker = &master->workers[action->slot];
    if (start_is_given_up(master, action->slot, action->reason))
        return;
    log_warning("worker %u pid %ld is aborted: %s", action->slot, (long)worker->pid,
                reason_text(action->reason));
    if (action->reason != REASON_STOP)
        recent_add("worker %u pid %ld is aborted: %s", action->slot, (long)worker->pid,
                   reason_text(action->reason));
    signal_worker(worker, SIGABRT);
    hooks_worker(master, SETTING_ID_HOOK_WORKER_ABORTED, action->slot, reason_text(action->reason));
}

static void act_kill(struct master *master, const struct action *action)
{
    struct worker *worker = &master->workers[action->slot];
    if (start_is_given_up(master, action->slot, action->reason))
        return;
    log_warning("worker %u pid %ld is killed: %s", action->slot, (long)worker->pid,
                reason_text(action->reason));
    signal_worker(worker, SIGKILL);
}

static void act_refuse(struct master *master, const struct action *action)
{
    if (action->reason == REASON_MOVED) {
        listeners_refuse(master, false);
        observe_queue(master);
    } else if (upgrade_leaves_listener(master)) {
        upgrade_ask(master);
    } else {
        listen_refuse(master);
    }
}

static void act_state(struct master *master, const struct action *action)
{
    enum pool_state state = action->number;
    log_line(state == POOL_FAILING ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "pool %s is %s", master->name,
             pool_state_name(state));
    if (state == POOL_STOPPING)
        upgrade_at_stop(master);
    announce_state(master);
    load_adjust(master);
    master_end_if_done(master);
}

void act(struct master *master, const struct action *action)
{
    static void (*const functions[ACTION_TYPES])(struct master *, const struct action *) = {
        [ACTION_WANT] = act_want,   [ACTION_SPAWN] = act_spawn,         [ACTION_RETIRE] = act_retire,
        [ACTION_ABORT] = act_abort, [ACTION_KILL] = act_kill,           [ACTION_REFUSE] = act_refuse,
        [ACTION_STATE] = act_state, [ACTION_SATURATED] = act_saturated, [ACTION_ROLLOUT] = reload_news,
    };
    functions[action->type](master, action);
}
