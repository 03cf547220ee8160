/* Starting workers; see start.h. */
#include "daemon/start.h"

#include "daemon/base/clock.h"
#include "daemon/base/fd.h"
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

/* The process is there. */
static void started(struct master *master, uint32_t slot, pid_t pid)
{
    struct worker *worker = &master->workers[slot];
    const struct slot *who = &master->policy.slots[slot];
    const struct conf *conf = versions_of(&master->versions, who->generation)->conf;
    worker->pid = pid;
    worker->began_ms = clock_now_ms();
    worker->listener = &listeners_at(&master->listeners, who->place)->listener;
    worker->is_host = conf_text(conf, SETTING_ID_APP) != NULL;
    worker->must_tell = strcmp(conf_text(conf, SETTING_ID_OBSERVE), "preload") == 0;
    if (worker->output)
        output_start(worker->output, master->loop, pid);
    struct state_record record = {
        .pid = pid, .inode = worker->listener->inode, .cookie = worker->listener->cookie};
    int result = proc_start(pid, &record.start);
    master_note(master, result ? result : state_add(&master->state, &record));
    log_info("worker %u pid %ld started: %s", slot, (long)pid, reason_text(worker->reason));
    hooks_worker(master, SETTING_ID_HOOK_WORKER_SPAWNED, slot, reason_text(worker->reason));
    observe_starts(master);
}

/* Makes the process of `worker`, or orders it. Returns 0, or -errno with the step that failed. */
static int make_process(struct master *master, uint32_t slot, const char **ret_step)
{
    struct worker *worker = &master->workers[slot];
    const struct slot *who = &master->policy.slots[slot];
    const struct conf *conf = versions_of(&master->versions, who->generation)->conf;
    const struct listener *listener = &listeners_at(&master->listeners, who->place)->listener;
    struct pages_start start __attribute__((cleanup(pages_start_fini))) = {0};
    struct deal deal __attribute__((cleanup(deal_fini)));
    __attribute__((cleanup(fd_close))) int output_fd = -1;
    char program[PATH_MAX];
    pid_t pid = 0;
    deal_init(&deal, conf, slot, who->number);
    *ret_step = "finding the program";
    int result = has_template(conf) ? 0 : conf_program(conf, program, sizeof program);
    if (result)
        return result;
    *ret_step = "page";
    result = open_page(master, conf, deal.envp, slot, listener, &start);
    if (result)
        return result;
    *ret_step = "pipe";
    result = start_output(master, conf, slot, &worker->output, &output_fd);
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
        .inherit_output = output_fd < 0,
        .kept_fds = start.fds,
        .kept_count = start.page ? 2 : 0,
        .preload = start.page ? master->pages.library : NULL,
        .plain_envp = deal.envp,
    };
    start_describe(master, conf, &options);
    *ret_step = "order to the template";
    result = has_template(conf) ? template_order(master, who->generation, who->incarnation, &options)
                                : spawn_process(&options, &pid, ret_step);
    if (result)
        return result;
    worker->page = start.page;
    start.page = NULL;
    if (pid)
        started(master, slot, pid);
    return 0;
}

/* ---- the worker ---- */

/* What was there for a process that is not to come. */
static void drop(struct master *master, struct worker *worker)
{
    output_stop(worker->output, master->loop);
    pages_drop(&master->pages, worker->page);
    *worker = (struct worker){.reason = worker->reason};
}

static void fail(struct master *master, uint32_t slot, const char *step, int result)
{
    drop(master, &master->workers[slot]);
    log_limited(&master->limit_starts, LOG_LEVEL_ERROR, "worker %u could not be started: %s: %s", slot, step,
                strerror(-result));
    recent_add("worker %u could not be started: %s: %s", slot, step, strerror(-result));
    master_event(master, EVENT_SPAWN_FAILED, slot, 0);
}

static void start_now(struct master *master, uint32_t slot)
{
    const char *step;
    int result = make_process(master, slot, &step);
    if (result)
        fail(master, slot, step, result);
}

/* Or lets it wait. */
static void start_off_template(struct master *master, uint32_t slot)
{
    struct worker *worker = &master->workers[slot];
    const char *step;
    int ready = template_ready(master, master->policy.slots[slot].generation, &step);
    worker->awaits = ready > 0 ? AWAITS_FORK : AWAITS_TEMPLATE;
    if (ready > 0)
        start_now(master, slot);
    else if (ready < 0)
        fail(master, slot, step, ready);
}

void start_worker(struct master *master, uint32_t slot, enum reason reason)
{
    uint64_t generation = master->policy.slots[slot].generation;
    ASSERT(!master->workers[slot].pid);
    master->workers[slot].reason = reason;
    if (has_template(versions_of(&master->versions, generation)->conf))
        start_off_template(master, slot);
    else
        start_now(master, slot);
}

/* ---- those who wait for a template ---- */

/* The first slot from `slot` on that waits for the template of `generation`, or slot_count. */
static uint32_t next_waiting(const struct master *master, uint64_t generation, uint32_t slot)
{
    while (slot < master->policy.slot_count && (master->workers[slot].awaits == AWAITS_NOTHING ||
                                                master->policy.slots[slot].generation != generation))
        slot++;
    return slot;
}

/* One order at a time; of those who cannot be ordered the policy hears. */
void start_on(struct master *master, uint64_t generation)
{
    uint32_t slot = 0;
    while ((slot = next_waiting(master, generation, slot)) < master->policy.slot_count) {
        if (master->workers[slot].awaits == AWAITS_TEMPLATE)
            start_off_template(master, slot);
        if (master->workers[slot].awaits == AWAITS_FORK)
            return;
        slot++;
    }
}

void start_again(struct master *master, uint64_t generation)
{
    for (uint32_t slot = 0; (slot = next_waiting(master, generation, slot)) < master->policy.slot_count;
         slot++) {
        drop(master, &master->workers[slot]);
        start_off_template(master, slot);
    }
}

void start_missed(struct master *master, uint64_t generation)
{
    for (uint32_t slot = 0; (slot = next_waiting(master, generation, slot)) < master->policy.slot_count;
         slot++) {
        drop(master, &master->workers[slot]);
        master_event(master, EVENT_SPAWN_FAILED, slot, 0);
    }
}

bool start_forked(struct master *master, const struct fork_answer *answer)
{
    uint32_t slot = 0;
    while (slot < master->policy.slot_count && (master->workers[slot].awaits != AWAITS_FORK ||
                                                master->policy.slots[slot].incarnation != answer->serial))
        slot++;
    if (slot == master->policy.slot_count) /* it was given up meanwhile */
        return false;
    master->workers[slot].awaits = AWAITS_NOTHING;
    if (answer->error)
        fail(master, slot, "the template's fork", -answer->error);
    else
        started(master, slot, answer->pid);
    return !answer->error;
}

bool start_is_given_up(struct master *master, uint32_t slot, enum reason reason)
{
    struct worker *worker = &master->workers[slot];
    if (worker->awaits != AWAITS_NOTHING) {
        drop(master, worker);
        log_info("worker %u is given up, which its template has not forked yet: %s", slot,
                 reason_text(reason));
        if (reason == REASON_START_TIMEOUT)
            template_kill(master, master->policy.slots[slot].generation, reason_text(reason));
        master_event(master, EVENT_EXITED, slot, EXIT_CAUSE_CLEAN);
    }
    return worker->pid == 0;
}
