/* The policy's actions, executed; see act.h. */
#include "daemon/act.h"

#include "daemon/deal.h"
#include "daemon/kernel/proc.h"
#include "daemon/kernel/spawn.h"
#include "daemon/listen.h"
#include "daemon/master.h"
#include "daemon/observe.h"
#include "daemon/recent.h"
#include "daemon/retirements.h"
#include "pool/assert.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* With worker_output "inherit" there is neither object nor descriptor. */
static int open_output(struct master *master, const struct conf *conf, uint32_t slot,
                       struct output **ret_output, int *ret_fd)
{
    const char *where = conf_text(conf, SETTING_ID_WORKER_OUTPUT);
    if (strcmp(where, "inherit") == 0) {
        *ret_output = NULL;
        *ret_fd = -1;
        return 0;
    }
    return output_open(slot, strcmp(where, "file") == 0 ? master->output_file : NULL, ret_output, ret_fd);
}

/* Without the library, and where a page cannot be had, the worker gets none, and `ret_start` stays as it is.
 */
static int open_page(struct master *master, const struct conf *conf, char *const *envp, uint32_t index,
                     const struct listener *listener, struct pages_start *ret_start)
{
    const struct slot *slot = &master->policy.slots[index];
    const char *observe = conf_text(conf, SETTING_ID_OBSERVE);
    if (!master->pages.pool || strcmp(observe, "kernel") == 0)
        return 0;
    const struct pages_orders orders = {
        .max_requests = policy_max_requests(&master->policy, index),
        .timeout_ms = (uint64_t)master->settings.timeout_ms,
    };
    int result = pages_start(&master->pages, listener, slot->incarnation, &orders, envp, ret_start);
    if (result == 0 || strcmp(observe, "preload") == 0)
        return result;
    log_limited(&master->limit_starts, LOG_LEVEL_WARNING, "worker %u is observed from outside: %s", index,
                strerror(-result));
    return 0;
}

/* Its process is there. */
static void started(struct master *master, struct worker *worker, const struct conf *conf)
{
    worker->is_host = conf_text(conf, SETTING_ID_APP) != NULL;
    worker->must_tell = strcmp(conf_text(conf, SETTING_ID_OBSERVE), "preload") == 0;
    if (worker->output)
        output_start(worker->output, master->loop, worker->pid);
    struct state_record record = {
        .pid = worker->pid, .inode = worker->listener->inode, .cookie = worker->listener->cookie};
    int result = proc_start(worker->pid, &record.start);
    master_note(master, result ? result : state_add(&master->state, &record));
}

/* Starts the process of `worker`. Returns 0, or -errno with the step that failed. */
static int start_process(struct master *master, struct worker *worker, uint32_t slot, const char **ret_step)
{
    const struct slot *who = &master->policy.slots[slot];
    const struct conf *conf = versions_of(&master->versions, who->generation)->conf;
    const struct listener *listener = &listeners_at(&master->listeners, who->place)->listener;
    struct pages_start start __attribute__((cleanup(pages_start_fini))) = {0};
    struct deal deal __attribute__((cleanup(deal_fini)));
    char program[PATH_MAX];
    struct output *output;
    int output_fd;
    pid_t pid;
    deal_init(&deal, conf, slot, who->number);
    *ret_step = "finding the program";
    int result = conf_program(conf, program, sizeof program);
    if (result)
        return result;
    *ret_step = "page";
    result = open_page(master, conf, deal.envp, slot, listener, &start);
    if (result)
        return result;
    *ret_step = "pipe";
    result = open_output(master, conf, slot, &output, &output_fd);
    if (result)
        return result;
    struct spawn_options options = {
        .path = program,
        .argv = deal.argv,
        .envp = start.page ? start.envp : deal.envp,
        .chdir = conf_text(conf, SETTING_ID_CHDIR),
        .umask = (mode_t)conf_settings(conf)->umask,
        .descriptors = &master->descriptors,
        .nice = conf_nice(conf),
        .processors = deal.processors,
        .credentials = conf_credentials(conf),
        .same_session = start.page != NULL, /* the others are stopped to be retired */
        .stdin_fd = listener->fd,
        .output_fd = output_fd,
        .inherit_output = output == NULL,
        .kept_fds = start.fds,
        .kept_count = start.page ? 2 : 0,
        .preload = start.page ? master->pages.library : NULL,
        .plain_envp = deal.envp,
    };
    /* So that a worker can open its /dev/stderr, which leads to the pipe. */
    if (options.credentials)
        (void)!fchown(output_fd, options.credentials->uid, options.credentials->gid);
    options.limits = conf_limits(conf, &options.limit_count);
    result = spawn_process(&options, &pid, ret_step);
    if (output_fd >= 0)
        close(output_fd);
    if (result) {
        output_stop(output, master->loop);
        return result;
    }
    worker->pid = pid;
    worker->output = output;
    worker->page = start.page;
    worker->listener = listener;
    start.page = NULL;
    started(master, worker, conf);
    return 0;
}

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
    const char *step;
    struct worker *worker = &master->workers[action->slot];
    ASSERT(!worker->pid);
    int result = start_process(master, worker, action->slot, &step);
    if (result) {
        log_limited(&master->limit_starts, LOG_LEVEL_ERROR, "worker %u could not be started: %s: %s",
                    action->slot, step, strerror(-result));
        recent_add("worker %u could not be started: %s: %s", action->slot, step, strerror(-result));
        master_event(master, EVENT_SPAWN_FAILED, action->slot, 0);
        return;
    }
    log_info("worker %u pid %ld started: %s", action->slot, (long)worker->pid, reason_text(action->reason));
    hooks_worker(master, SETTING_ID_HOOK_WORKER_SPAWNED, action->slot, reason_text(action->reason));
    observe_starts(master);
}

/* A slot without a process: its start has failed in this very step, and the policy will hear of it next. */
static bool is_stillborn(const struct worker *worker)
{
    return worker->pid == 0;
}

static void act_retire(struct master *master, const struct action *action)
{
    struct worker *worker = &master->workers[action->slot];
    if (is_stillborn(worker))
        return;
    log_info("worker %u pid %ld retires: %s", action->slot, (long)worker->pid, reason_text(action->reason));
    worker->drain = (struct drain){0};
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
    if (is_stillborn(worker))
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
    if (is_stillborn(worker))
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
