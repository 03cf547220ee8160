/* One run of a hook; see hook_call.h. */
#include "daemon/hook_call.h"

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

static const char *const variable_names[HOOK_VARIABLES] = {
    [HOOK_HOOK] = "FCGIPOOL_HOOK",
    [HOOK_POOL] = "FCGIPOOL_POOL",
    [HOOK_FILE] = "FCGIPOOL_FILE",
    [HOOK_MASTER_PID] = "FCGIPOOL_MASTER_PID",
    [HOOK_GENERATION] = "FCGIPOOL_GENERATION",
    [HOOK_SLOT] = "FCGIPOOL_SLOT",
    [HOOK_INCARNATION] = "FCGIPOOL_INCARNATION",
    [HOOK_PID] = "FCGIPOOL_PID",
    [HOOK_REASON] = "FCGIPOOL_REASON",
    [HOOK_EXIT] = "FCGIPOOL_EXIT",
    [HOOK_WORKERS] = "FCGIPOOL_WORKERS",
    [HOOK_WORKERS_BEFORE] = "FCGIPOOL_WORKERS_BEFORE",
    [HOOK_SUCCESSOR] = "FCGIPOOL_SUCCESSOR",
};

const char *hook_name(enum setting_id id)
{
    return settings_table[id].path + strlen("hooks.");
}

/* ---- what it is told ---- */

void hook_call_tell(struct hook_call *call, enum hook_variable variable, const char *format, ...)
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
    for (int i = 0; i < HOOK_VARIABLES; i++)
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
    char **environment = memory_must(calloc(inherited + HOOK_VARIABLES + 1, sizeof *environment));
    for (size_t i = 0; i < inherited; i++)
        if (!is_replaced(environ[i]))
            environment[count++] = environ[i];
    for (int i = 0; i < HOOK_VARIABLES; i++)
        if (call->variables[i])
            environment[count++] = call->variables[i];
    return environment;
}

struct hook_call *hook_call_new(struct master *master, enum setting_id id, uint64_t generation)
{
    struct hook_call *call = memory_must(calloc(1, sizeof *call));
    call->master = master;
    call->id = id;
    hook_call_tell(call, HOOK_HOOK, "%s", hook_name(id));
    hook_call_tell(call, HOOK_POOL, "%s", master->name);
    hook_call_tell(call, HOOK_FILE, "%s", conf_file(master->conf));
    hook_call_tell(call, HOOK_MASTER_PID, "%ld", (long)getpid());
    hook_call_tell(call, HOOK_GENERATION, "%" PRIu64, generation);
    return call;
}

void hook_call_free(struct hook_call *call)
{
    output_stop(call->output, call->master->loop);
    for (int i = 0; i < HOOK_VARIABLES; i++)
        free(call->variables[i]);
    free(call);
}

/* ---- its begin ---- */

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

bool hook_call_start(struct hook_call *call, struct log_limit *limit)
{
    const char *step;
    int result = start_process(call, &step);
    if (result) {
        log_limited(limit, LOG_LEVEL_WARNING, "hook %s could not be started: %s: %s", hook_name(call->id),
                    step, strerror(-result));
        return false;
    }
    log_debug("hook %s pid %ld started", hook_name(call->id), (long)call->pid);
    call->started_ms = clock_now_ms();
    output_of_hook(call->output, hook_name(call->id));
    output_start(call->output, call->master->loop, call->pid);
    return true;
}

/* ---- its end ---- */

static double age_seconds(const struct hook_call *call)
{
    return (double)(clock_now_ms() - call->started_ms) / 1000.0;
}

void hook_call_kill(struct hook_call *call, const char *why, struct log_limit *limit)
{
    log_limited(limit, LOG_LEVEL_WARNING, "hook %s pid %ld is killed after %.3f s: %s", hook_name(call->id),
                (long)call->pid, age_seconds(call), why);
    kill(-call->pid, SIGKILL);
    call->killed = true;
}

void hook_describe(const siginfo_t *death, char ret_text[static HOOK_DEATH_SIZE])
{
    snprintf(ret_text, HOOK_DEATH_SIZE, "%s %d", death->si_code == CLD_EXITED ? "exit" : "signal",
             death->si_status);
}

static void log_end(const struct hook_call *call, const siginfo_t *death, struct log_limit *limit)
{
    char how[HOOK_DEATH_SIZE];
    hook_describe(death, how);
    if (death->si_code == CLD_EXITED && death->si_status == 0)
        log_debug("hook %s pid %ld is done after %.3f s", hook_name(call->id), (long)call->pid,
                  age_seconds(call));
    else
        log_limited(limit, LOG_LEVEL_WARNING, "hook %s pid %ld failed after %.3f s: %s", hook_name(call->id),
                    (long)call->pid, age_seconds(call), how);
}

/* It is a zombie still, so the number of its group is nobody else's. */
void hook_call_bury(struct hook_call *call, const siginfo_t *death, struct log_limit *limit)
{
    kill(-call->pid, SIGKILL);
    output_stop(call->output, call->master->loop);
    call->output = NULL;
    if (!call->killed)
        log_end(call, death, limit);
    waitpid(call->pid, NULL, WNOHANG);
}
