/* Starting the second master of an upgrade; see upgrade_run.h. */
#include "daemon/upgrade_run.h"

#include "daemon/base/fd.h"
#include "daemon/base/memory.h"
#include "daemon/base/origin.h"
#include "daemon/kernel/spawn.h"
#include "daemon/master.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static json_t *identity_json(const struct listener *listener)
{
    return json_pack("{s:I,s:I,s:s?}", "device", (json_int_t)listener->path_device, "inode",
                     (json_int_t)listener->path_inode, "path", address_path(&listener->address));
}

void upgrade_add_floor(json_t *json, const struct policy *policy)
{
    json_object_set_new(json, "floor", json_integer(policy->floor));
    json_object_set_new(json, "min", json_integer(policy->settings->workers_min));
    json_object_set_new(json, "by_hand", json_boolean(policy->floor != policy->settings->workers_min));
}

static json_t *will_json(const struct master *master)
{
    const struct policy *policy = &master->policy;
    const char *passed =
        listeners_current(master)->listener.foreign ? conf_text(master->conf, SETTING_ID_LISTEN) : NULL;
    json_t *will = json_pack("{s:i,s:I,s:I,s:I,s:b,s:s?,s:s?,s:o,s:o}",           //
                             "v", 1,                                              //
                             "pid", (json_int_t)getpid(),                         //
                             "generation", (json_int_t)policy->generations,       //
                             "wanted", (json_int_t)policy->wanted,                //
                             "leaves", master->upgrade.leaves,                    //
                             "pidfile", master->pidfile, "passed", passed,        //
                             "control", identity_json(&master->control.listener), //
                             "listener", identity_json(&listeners_current(master)->listener));
    upgrade_add_floor(will, policy);
    return will;
}

/* A variable that concerned our own start alone. */
static bool is_ours_alone(const char *variable)
{
    static const char *const names[] = {HANDOVER_VARIABLE, "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS",
                                        "LISTEN_FDNAMES"};
    size_t length = strcspn(variable, "=");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == length && strncmp(variable, names[i], length) == 0)
            return true;
    return false;
}

/* The environment of our own start, with `own` in place of what concerned that start alone. */
static char **environment(char *own)
{
    char *const *old = origin_get()->environment;
    size_t count = 0, kept = 0;
    while (old[count])
        count++;
    char **new = memory_must(calloc(count + 2, sizeof *new));
    for (size_t i = 0; i < count; i++)
        if (!is_ours_alone(old[i]))
            new[kept++] = old[i];
    new[kept] = own;
    return new;
}

/* Runs the program with `fds`. Returns 0, or -errno with the reason. */
static int run(struct master *master, const int fds[static HANDOVER_FDS], int output_fd,
               struct problem *problem)
{
    const struct origin *origin = origin_get();
    char *own __attribute__((cleanup(memory_free_text))) = handover_name(fds);
    char **envp = environment(own);
    int kept[HANDOVER_FDS];
    mode_t mask = umask(0);
    const char *step;
    struct spawn_options options = {
        .path = origin->program,
        .argv = origin->argv,
        .envp = envp,
        .chdir = origin->directory,
        .umask = mask,
        .descriptors = &master->descriptors,
        .stdin_fd = STDIN_FILENO,
        .output_fd = output_fd,
        .kept_fds = kept,
    };
    (void)umask(mask);
    for (enum handover_fd i = 0; i < HANDOVER_FDS; i++)
        if (fds[i] >= 0)
            kept[options.kept_count++] = fds[i];
    int result = spawn_process(&options, &master->upgrade.pid, &step);
    free(envp);
    return result ? problem_set(problem, result, "the new master could not be started: %s %s: %s", step,
                                strcmp(step, "chdir") == 0 ? origin->directory : origin->program,
                                strerror(-result))
                  : 0;
}

/* With our ends of what ties us to it. Likewise. */
static int run_tied(struct master *master, const int link[2], const int pipe[2], struct problem *problem)
{
    int out __attribute__((cleanup(fd_close))) = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int err __attribute__((cleanup(fd_close))) = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (out < 0 || err < 0)
        return problem_set(problem, -errno, "the new master could not be started: %s", strerror(errno));
    const struct listener *listener = &listeners_current(master)->listener;
    const int fds[HANDOVER_FDS] = {
        [HANDOVER_LINK] = link[1],
        [HANDOVER_LISTENER] = listener->fd,
        [HANDOVER_LISTENER_LOCK] = listener->lock_fd,
        [HANDOVER_CONTROL] = master->control.listener.fd,
        [HANDOVER_CONTROL_LOCK] = master->control.listener.lock_fd,
        [HANDOVER_STDOUT] = out,
        [HANDOVER_STDERR] = err,
    };
    handover_send(link[0], will_json(master));
    return run(master, fds, pipe[1], problem);
}

int upgrade_run(struct master *master, struct problem *problem)
{
    struct upgrade *upgrade = &master->upgrade;
    int link[2] = {-1, -1}, pipe[2] = {-1, -1};
    int result = handover_link(link);
    if (result == 0 && pipe2(pipe, O_CLOEXEC))
        result = -errno;
    if (result)
        problem_set(problem, result, "the new master could not be started: %s", strerror(-result));
    else
        result = run_tied(master, link, pipe, problem);
    fd_close(&link[1]);
    fd_close(&pipe[1]);
    if (result) {
        fd_close(&link[0]);
        fd_close(&pipe[0]);
        return result;
    }
    (void)fcntl(pipe[0], F_SETFL, O_NONBLOCK);
    ev_io_set(&upgrade->link, link[0], EV_READ);
    ev_io_set(&upgrade->complaints, pipe[0], EV_READ);
    ev_io_start(master->loop, &upgrade->link);
    ev_io_start(master->loop, &upgrade->complaints);
    return 0;
}
