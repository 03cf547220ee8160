/* Starting workers; see start.h. */
#include "daemon/start.h"

#include "daemon/deal.h"
#include "daemon/kernel/proc.h"
#include "daemon/master.h"
#include "daemon/observe.h"
#include "daemon/recent.h"
#include "daemon/template.h"
#include "pool/assert.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

/* ---- what the process is given ---- */

int start_output(struct master *master, const struct conf *conf, uint32_t slot, struct output **ret_output,
                 int *ret_fd)
{
    const char *where = conf_text(conf, SETTING_ID_WORKER_OUTPUT);
    *ret_output = NULL;
    *ret_fd = -1;
    if (strcmp(where, "inherit") == 0)
        return 0;
    int result =
        output_open(slot, strcmp(where, "file") == 0 ? master->output_file : NULL, ret_output, ret_fd);
    /* So that a worker can open its /dev/stderr, which leads to the pipe. */
    const struct credentials *credentials = conf_credentials(conf);
    if (result == 0 && credentials)
        (void)!fchown(*ret_fd, credentials->uid, credentials->gid);
    return result;
}

void start_describe(const struct master *master, const struct conf *conf, struct spawn_options *options)
{
    options->chdir = conf_text(conf, SETTING_ID_CHDIR);
    options->umask = (mode_t)conf_settings(conf)->umask;
    options->descriptors = &master->descriptors;
    options->limits = conf_limits(conf, &options->limit_count);
    options->nice = conf_nice(conf);
    options->credentials = conf_credentials(conf);
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

/* ---- the process ---- */

static bool has_template(const struct conf *conf)
{
    return conf_text(conf, SETTING_ID_APP) != NULL && conf_settings(conf)->preload_app;
}

static int make_process(struct master *master, uint64_t generation, const struct spawn_options *options,
                        pid_t *ret_pid, const char **ret_step)
{
    const struct conf *conf = versions_of(&master->versions, generation)->conf;
    return has_template(conf) ? template_fork(master, generation, options, ret_pid, ret_step)
                              : spawn_process(options, ret_pid, ret_step);
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
    result = start_output(master, conf, slot, &output, &output_fd);
    if (result)
        return result;
    struct spawn_options options = {
        .path = program,
        .argv = deal.argv,
        .envp = start.page ? start.envp : deal.envp,
        .processors = deal.processors,
        .same_session = start.page != NULL, /* the others are stopped to be retired */
        .stdin_fd = listener->fd,
        .output_fd = output_fd,
        .inherit_output = output == NULL,
        .kept_fds = start.fds,
        .kept_count = start.page ? 2 : 0,
        .preload = start.page ? master->pages.library : NULL,
        .plain_envp = deal.envp,
    };
    start_describe(master, conf, &options);
    result = make_process(master, who->generation, &options, &pid, ret_step);
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

/* ---- the worker ---- */

static void fail(struct master *master, uint32_t slot, const char *step, int result)
{
    log_limited(&master->limit_starts, LOG_LEVEL_ERROR, "worker %u could not be started: %s: %s", slot, step,
                strerror(-result));
    recent_add("worker %u could not be started: %s: %s", slot, step, strerror(-result));
    master_event(master, EVENT_SPAWN_FAILED, slot, 0);
}

static void start_now(struct master *master, uint32_t slot)
{
    const char *step;
    struct worker *worker = &master->workers[slot];
    const char *why = reason_text(worker->reason);
    int result = start_process(master, worker, slot, &step);
    if (result) {
        fail(master, slot, step, result);
        return;
    }
    log_info("worker %u pid %ld started: %s", slot, (long)worker->pid, why);
    hooks_worker(master, SETTING_ID_HOOK_WORKER_SPAWNED, slot, why);
    observe_starts(master);
}

void start_worker(struct master *master, uint32_t slot, enum reason reason)
{
    struct worker *worker = &master->workers[slot];
    uint64_t generation = master->policy.slots[slot].generation;
    const char *step;
    ASSERT(!worker->pid);
    int ready = 1;
    if (has_template(versions_of(&master->versions, generation)->conf))
        ready = template_ready(master, generation, &step);
    worker->reason = reason;
    worker->awaits = ready == 0;
    if (ready > 0)
        start_now(master, slot);
    else if (ready < 0)
        fail(master, slot, step, ready);
}

/* The next slot that waits for the template, from `*slot` on; it does not any more. */
static bool take_awaiting(struct master *master, uint64_t generation, uint32_t *slot)
{
    for (; *slot < master->policy.slot_count; ++*slot) {
        struct worker *worker = &master->workers[*slot];
        if (worker->awaits && master->policy.slots[*slot].generation == generation) {
            worker->awaits = false;
            return true;
        }
    }
    return false;
}

void start_awaited(struct master *master, uint64_t generation)
{
    for (uint32_t slot = 0; take_awaiting(master, generation, &slot); slot++)
        start_now(master, slot);
}

void start_missed(struct master *master, uint64_t generation)
{
    for (uint32_t slot = 0; take_awaiting(master, generation, &slot); slot++)
        master_event(master, EVENT_SPAWN_FAILED, slot, 0);
}

bool start_is_given_up(struct master *master, uint32_t slot, enum reason reason)
{
    struct worker *worker = &master->workers[slot];
    if (worker->awaits) {
        worker->awaits = false;
        log_info("worker %u is given up, whose template has not loaded the application yet: %s", slot,
                 reason_text(reason));
        if (reason == REASON_START_TIMEOUT)
            template_kill(master, master->policy.slots[slot].generation, reason_text(reason));
        master_event(master, EVENT_EXITED, slot, EXIT_CAUSE_CLEAN);
    }
    return worker->pid == 0;
}
