/* Hooks; see hooks.h. */
#include "daemon/hooks.h"

#include "daemon/base/clock.h"
#include "daemon/base/memory.h"
#include "daemon/kernel/spawn.h"
#include "daemon/master.h"
#include "daemon/output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum variable {
    VARIABLE_HOOK,
    VARIABLE_POOL,
    VARIABLE_FILE,
    VARIABLE_MASTER_PID,
    VARIABLE_GENERATION,
    VARIABLE_SLOT,
    VARIABLE_INCARNATION,
    VARIABLE_PID,
    VARIABLE_REASON,
    VARIABLE_EXIT,
    VARIABLE_WORKERS,
    VARIABLE_WORKERS_BEFORE,
    VARIABLES
};

static const char *const variable_names[VARIABLES] = {
    [VARIABLE_HOOK] = "FCGIPOOL_HOOK",
    [VARIABLE_POOL] = "FCGIPOOL_POOL",
    [VARIABLE_FILE] = "FCGIPOOL_FILE",
    [VARIABLE_MASTER_PID] = "FCGIPOOL_MASTER_PID",
    [VARIABLE_GENERATION] = "FCGIPOOL_GENERATION",
    [VARIABLE_SLOT] = "FCGIPOOL_SLOT",
    [VARIABLE_INCARNATION] = "FCGIPOOL_INCARNATION",
    [VARIABLE_PID] = "FCGIPOOL_PID",
    [VARIABLE_REASON] = "FCGIPOOL_REASON",
    [VARIABLE_EXIT] = "FCGIPOOL_EXIT",
    [VARIABLE_WORKERS] = "FCGIPOOL_WORKERS",
    [VARIABLE_WORKERS_BEFORE] = "FCGIPOOL_WORKERS_BEFORE",
};

/* From when it is asked for until its process is reaped. */
struct hook_call {
    struct hook_call *next;
    struct master *master; /* borrowed */
    enum setting_id id;
    char *variables[VARIABLES]; /* "NAME=value", owned; NULL: none */
    pid_t pid;                  /* leader of its process group; 0: it waits */
    bool killed;                /* and its end was logged */
    int64_t started_ms;
    struct output *output; /* owned; NULL while it waits */
    ev_timer limit;
};

static struct hook *hook_of(struct master *master, enum setting_id id)
{
    return &master->hooks.items[id - SETTING_ID_HOOK_ON_STARTING];
}

static const char *name_of(enum setting_id id)
{
    return settings_table[id].path + strlen("hooks.");
}

/* ---- what it is told ---- */

__attribute__((format(printf, 3, 4))) static void tell(struct hook_call *call, enum variable variable,
                                                       const char *format, ...)
{
    char *value __attribute__((cleanup(memory_free_text))) = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&value, format, arguments);
    va_end(arguments);
    (void)memory_must(length < 0 ? NULL : value);
    call->variables[variable] = memory_text("%s=%s", variable_names[variable], value);
}

/* A master may have been started by a hook of another one. */
static bool is_replaced(const char *entry)
{
    size_t length = strcspn(entry, "=");
    for (int i = 0; i < VARIABLES; i++)
        if (strlen(variable_names[i]) == length && memcmp(variable_names[i], entry, length) == 0)
            return true;
    return false;
}

/* The vector is the caller's, the strings are not. */
static char **environment_of(const struct hook_call *call)
{
    size_t count = 0, inherited = 0;
    while (environ[inherited])
        inherited++;
    char **environment = memory_must(calloc(inherited + VARIABLES + 1, sizeof *environment));
    for (size_t i = 0; i < inherited; i++)
        if (!is_replaced(environ[i]))
            environment[count++] = environ[i];
    for (int i = 0; i < VARIABLES; i++)
        if (call->variables[i])
            environment[count++] = call->variables[i];
    return environment;
}

static struct hook_call *call_new(struct master *master, enum setting_id id, uint64_t generation)
{
    struct hook_call *call = memory_must(calloc(1, sizeof *call));
    call->master = master;
    call->id = id;
    tell(call, VARIABLE_HOOK, "%s", name_of(id));
    tell(call, VARIABLE_POOL, "%s", master->name);
    tell(call, VARIABLE_FILE, "%s", conf_file(master->conf));
    tell(call, VARIABLE_MASTER_PID, "%ld", (long)getpid());
    tell(call, VARIABLE_GENERATION, "%" PRIu64, generation);
    return call;
}

static struct hook_call *call_of_worker(struct master *master, enum setting_id id, uint32_t index,
                                        const char *reason)
{
    const struct slot *slot = &master->policy.slots[index];
    struct hook_call *call = call_new(master, id, slot->generation);
    tell(call, VARIABLE_SLOT, "%" PRIu32, index);
    tell(call, VARIABLE_INCARNATION, "%" PRIu64, slot->incarnation);
    tell(call, VARIABLE_PID, "%ld", (long)master->workers[index].pid);
    if (reason)
        tell(call, VARIABLE_REASON, "%s", reason);
    return call;
}

/* Takes it out of its list. */
static void call_free(struct hook_call **at)
{
    struct hook_call *call = *at;
    *at = call->next;
    ev_timer_stop(call->master->loop, &call->limit);
    output_stop(call->output, call->master->loop);
    for (int i = 0; i < VARIABLES; i++)
        free(call->variables[i]);
    free(call);
}

/* ---- the end ---- */

/* True while there is something to wait for. A process that SIGKILL does not end at once is not. */
static bool is_busy(const struct hooks *hooks)
{
    for (int i = 0; i < CONF_HOOKS; i++)
        for (const struct hook_call *call = hooks->items[i].calls; call; call = call->next)
            if (!call->killed)
                return true;
    return false;
}

static void go_if_idle(struct master *master)
{
    if (master->hooks.leaving && !is_busy(&master->hooks))
        ev_break(master->loop, EVBREAK_ALL);
}

static void kill_call(struct hook_call *call, const char *why)
{
    struct master *master = call->master;
    log_limited(&hook_of(master, call->id)->limit, LOG_LEVEL_WARNING,
                "hook %s pid %ld is killed after %.3f s: %s", name_of(call->id), (long)call->pid,
                (double)(clock_now_ms() - call->started_ms) / 1000.0, why);
    kill(-call->pid, SIGKILL);
    ev_timer_stop(master->loop, &call->limit);
    call->killed = true;
}

static void on_limit(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct hook_call *call = timer->data;
    (void)loop, (void)events;
    kill_call(call, "hooks.timeout has passed");
    go_if_idle(call->master);
}

static void describe(const siginfo_t *death, char *ret_text, size_t size)
{
    snprintf(ret_text, size, "%s %d", death->si_code == CLD_EXITED ? "exit" : "signal", death->si_status);
}

static void log_end(struct hook_call *call, const siginfo_t *death)
{
    char how[32];
    int64_t age_ms = clock_now_ms() - call->started_ms;
    describe(death, how, sizeof how);
    if (death->si_code == CLD_EXITED && death->si_status == 0)
        log_debug("hook %s pid %ld is done after %.3f s", name_of(call->id), (long)call->pid,
                  (double)age_ms / 1000.0);
    else
        log_limited(&hook_of(call->master, call->id)->limit, LOG_LEVEL_WARNING,
                    "hook %s pid %ld failed after %.3f s: %s", name_of(call->id), (long)call->pid,
                    (double)age_ms / 1000.0, how);
}

/* ---- running ---- */

/* Returns 0, or -errno with the step that failed. */
static int start_process(struct hook_call *call, const char **ret_step)
{
    struct master *master = call->master;
    const struct conf *conf = master->live;
    char program[PATH_MAX];
    int output_fd;
    *ret_step = "finding the program";
    int result = conf_hook_program(conf, call->id, program, sizeof program);
    if (result)
        return result;
    *ret_step = "pipe";
    result = output_open(OUTPUT_NO_SLOT, NULL, &call->output, &output_fd);
    if (result)
        return result;
    char **environment = environment_of(call);
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct spawn_options options = {
        .path = program,
        .argv = conf_hook(conf, call->id),
        .envp = environment,
        .chdir = conf_text(conf, SETTING_ID_CHDIR),
        .umask = (mode_t)conf_settings(conf)->umask,
        .descriptors = &master->descriptors,
        .stdin_fd = nothing,
        .output_fd = output_fd,
    };
    result = spawn_process(&options, &call->pid, ret_step);
    free(environment);
    if (nothing >= 0)
        close(nothing);
    close(output_fd);
    return result;
}

/* Returns whether it runs. */
static bool start(struct hook_call *call)
{
    struct master *master = call->master;
    const char *step;
    int result = start_process(call, &step);
    if (result) {
        log_limited(&hook_of(master, call->id)->limit, LOG_LEVEL_WARNING,
                    "hook %s could not be started: %s: %s", name_of(call->id), step, strerror(-result));
        return false;
    }
    log_debug("hook %s pid %ld started", name_of(call->id), (long)call->pid);
    call->started_ms = clock_now_ms();
    output_of_hook(call->output, name_of(call->id));
    output_start(call->output, master->loop, call->pid);
    ev_now_update(master->loop);
    ev_timer_init(&call->limit, on_limit, (double)master->settings.hooks_timeout_ms / 1000.0, 0.0);
    call->limit.data = call;
    ev_timer_start(master->loop, &call->limit);
    return true;
}

/* A reload may have taken the hook away from those that wait for it. */
static void start_waiting(struct master *master, enum setting_id id)
{
    struct hook *hook = hook_of(master, id);
    struct hook_call **at = &hook->calls;
    while (*at && hook->running < HOOKS_RUNNING_MAX) {
        struct hook_call *call = *at;
        if (!call->pid) {
            hook->waiting--;
            if (!conf_hook(master->live, id) || !start(call)) {
                call_free(at);
                continue;
            }
            hook->running++;
        }
        at = &call->next;
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
                    name_of(call->id), hook->waiting, hook->dropped);
        call_free(&call);
        return;
    }
    struct hook_call **end = &hook->calls;
    while (*end)
        end = &(*end)->next;
    *end = call;
    hook->waiting++;
    start_waiting(master, call->id);
}

void hooks_pool(struct master *master, enum setting_id hook)
{
    if (conf_hook(master->live, hook))
        run(call_new(master, hook, master->policy.generation));
}

void hooks_worker(struct master *master, enum setting_id hook, uint32_t slot, const char *reason)
{
    if (conf_hook(master->live, hook))
        run(call_of_worker(master, hook, slot, reason));
}

void hooks_exited(struct master *master, uint32_t slot, const siginfo_t *death)
{
    enum setting_id hook = SETTING_ID_HOOK_WORKER_EXITED;
    char how[32];
    if (!conf_hook(master->live, hook))
        return;
    struct hook_call *call =
        call_of_worker(master, hook, slot, reason_text(master->policy.slots[slot].reason));
    describe(death, how, sizeof how);
    tell(call, VARIABLE_EXIT, "%s", how);
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
    struct hook_call *call = call_new(master, hook, master->policy.generation);
    tell(call, VARIABLE_WORKERS, "%" PRIu32, now);
    tell(call, VARIABLE_WORKERS_BEFORE, "%" PRIu32, before);
    run(call);
}

/* Of its process group, too, nobody is left behind: it is a zombie still, so the number is nobody else's. */
static void bury(struct master *master, struct hook_call **at, const siginfo_t *death)
{
    struct hook_call *call = *at;
    enum setting_id id = call->id;
    kill(-call->pid, SIGKILL);
    output_stop(call->output, master->loop);
    call->output = NULL;
    if (!call->killed)
        log_end(call, death);
    waitpid(call->pid, NULL, WNOHANG);
    call_free(at);
    hook_of(master, id)->running--;
    start_waiting(master, id);
    hooks_workers(master);
    go_if_idle(master);
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

/* Who was killed is not waited for. */
static void end_all(struct master *master)
{
    for (enum setting_id id = SETTING_ID_HOOK_ON_STARTING; id <= SETTING_ID_HOOK_ON_EXIT; id++) {
        struct hook *hook = hook_of(master, id);
        if (hook->waiting)
            log_warning("hook %s: %u runs that wait still are left out: the master leaves", name_of(id),
                        hook->waiting);
        hook->waiting = 0;
        for (struct hook_call **at = &hook->calls; *at;) {
            if (!(*at)->pid) {
                call_free(at);
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
    (void)timer, (void)events;
    ev_break(loop, EVBREAK_ALL);
}

static void wait_for_all(struct master *master)
{
    struct hooks *hooks = &master->hooks;
    if (!is_busy(hooks))
        return;
    ev_now_update(master->loop);
    ev_timer_init(&hooks->patience, on_patience, (double)master->settings.hooks_timeout_ms / 1000.0, 0.0);
    ev_timer_start(master->loop, &hooks->patience);
    hooks->leaving = true;
    ev_run(master->loop, 0);
    hooks->leaving = false;
    ev_timer_stop(master->loop, &hooks->patience);
    end_all(master);
}

void hooks_leave(struct master *master)
{
    wait_for_all(master);
    hooks_pool(master, SETTING_ID_HOOK_ON_EXIT);
    wait_for_all(master);
}

void hooks_hurry(struct master *master)
{
    if (master->hooks.leaving)
        ev_break(master->loop, EVBREAK_ALL);
}

void hooks_fini(struct master *master)
{
    for (int i = 0; i < CONF_HOOKS; i++)
        while (master->hooks.items[i].calls)
            call_free(&master->hooks.items[i].calls);
}
