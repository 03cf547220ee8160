/* Upgrade, the old master's half; see upgrade.h. */
#include "daemon/upgrade.h"

#include "daemon/base/exit_code.h"
#include "daemon/base/memory.h"
#include "daemon/base/origin.h"
#include "daemon/handover.h"
#include "daemon/kernel/path_lock.h"
#include "daemon/kernel/spawn.h"
#include "daemon/master.h"
#include "daemon/status.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Beyond what its first worker may take to start, and beyond what its workers may take to leave. */
#define SPARE_MS 5000

static void close_fd(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

/* ---- how it goes ---- */

static void enter(struct upgrade *upgrade, enum upgrade_phase phase)
{
    free(upgrade->reason);
    upgrade->reason = NULL;
    upgrade->code = 0;
    upgrade->phase = phase;
}

static void close_watcher(struct master *master, ev_io *watcher)
{
    ev_io_stop(master->loop, watcher);
    close_fd(&watcher->fd);
    ev_io_set(watcher, -1, EV_READ);
}

static void set_limit(struct master *master, int64_t limit_ms)
{
    ev_timer *limit = &master->upgrade.limit;
    ev_timer_stop(master->loop, limit);
    ev_now_update(master->loop);
    ev_timer_set(limit, (double)limit_ms / 1000.0, 0.0);
    ev_timer_start(master->loop, limit);
}

static void on_limit(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct upgrade *upgrade = &((struct master *)timer->data)->upgrade;
    (void)loop, (void)events;
    upgrade->too_late = true;
    (void)kill(upgrade->pid, SIGKILL);
}

bool upgrade_has_heir(const struct master *master)
{
    const struct upgrade *upgrade = &master->upgrade;
    return upgrade->pid && (upgrade->phase == UPGRADE_READY || upgrade->phase == UPGRADE_SETTLED);
}

bool upgrade_leaves_listener(const struct master *master)
{
    return upgrade_has_heir(master) && master->upgrade.shared;
}

bool upgrade_holds(const struct master *master)
{
    return master->upgrade.pid && !upgrade_has_heir(master);
}

/* ---- what it says ---- */

static void become_ready(struct master *master, const json_t *message)
{
    struct upgrade *upgrade = &master->upgrade;
    ev_timer_stop(master->loop, &upgrade->limit);
    upgrade->shared = json_is_true(json_object_get(message, "shared"));
    upgrade->phase = UPGRADE_READY;
    log_info("upgrade: the new master, pid %ld, serves%s", (long)upgrade->pid,
             upgrade->shared ? "" : " at another address");
}

static void settle(struct master *master)
{
    struct upgrade *upgrade = &master->upgrade;
    upgrade->phase = UPGRADE_SETTLED;
    if (!upgrade->leaves)
        return;
    log_info("upgrade: the new master, pid %ld, has all its workers; this one leaves", (long)upgrade->pid);
    master_event(master, EVENT_STOP, 0, 0);
}

static void take_message(struct master *master, const json_t *message)
{
    const char *state = json_string_value(json_object_get(message, "state"));
    if (master->upgrade.phase == UPGRADE_STARTING && state && strcmp(state, "ready") == 0)
        become_ready(master, message);
    else if (master->upgrade.phase == UPGRADE_READY && state && strcmp(state, "settled") == 0)
        settle(master);
}

/* True until the other end is closed. */
static bool read_link(struct master *master)
{
    json_t *message;
    int result;
    while ((result = handover_receive(master->upgrade.link.fd, &message)) == 0) {
        take_message(master, message);
        json_decref(message);
    }
    return result == -EAGAIN;
}

static void on_link(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct master *master = watcher->data;
    (void)events;
    if (!read_link(master))
        ev_io_stop(loop, watcher); /* its end will be reaped */
    control_notify(&master->control);
}

/* True while there may be more. */
static bool read_complaint(struct upgrade *upgrade)
{
    char buffer[512];
    size_t kept = strlen(upgrade->complaint), room = sizeof upgrade->complaint - 1 - kept;
    ssize_t length = read(upgrade->complaints.fd, buffer, sizeof buffer);
    if (length <= 0)
        return false;
    size_t taken = (size_t)length < room ? (size_t)length : room;
    memcpy(upgrade->complaint + kept, buffer, taken);
    upgrade->complaint[kept + taken] = '\0';
    return true;
}

static void on_complaint(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct master *master = watcher->data;
    (void)events;
    if (!read_complaint(&master->upgrade) && errno != EAGAIN)
        ev_io_stop(loop, watcher);
}

/* ---- the start ---- */

static json_t *identity_json(const struct listener *listener)
{
    return json_pack("{s:I,s:I}", "device", (json_int_t)listener->path_device, "inode",
                     (json_int_t)listener->path_inode);
}

static json_t *will_json(const struct master *master)
{
    const struct policy *policy = &master->policy;
    return json_pack("{s:i,s:I,s:I,s:I,s:b,s:I,s:I,s:s?,s:o,s:o}",              //
                     "v", 1,                                                    //
                     "pid", (json_int_t)getpid(),                               //
                     "generation", (json_int_t)policy->generations,             //
                     "floor", (json_int_t)policy->floor,                        //
                     "by_hand", policy->floor != policy->settings->workers_min, //
                     "wanted", (json_int_t)policy->wanted,                      //
                     "min", (json_int_t)policy->settings->workers_min,          //
                     "pidfile", master->pidfile,                                //
                     "control", identity_json(&master->control.listener),       //
                     "listener", identity_json(&master->listener));
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
        if (strncmp(old[i], HANDOVER_VARIABLE "=", sizeof HANDOVER_VARIABLE) != 0 &&
            strncmp(old[i], "WATCHDOG_PID=", sizeof "WATCHDOG_PID=" - 1) != 0)
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
    int out __attribute__((cleanup(close_fd))) = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int err __attribute__((cleanup(close_fd))) = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (out < 0 || err < 0)
        return problem_set(problem, -errno, "the new master could not be started: %s", strerror(errno));
    const int fds[HANDOVER_FDS] = {
        [HANDOVER_LINK] = link[1],
        [HANDOVER_LISTENER] = master->listener.fd,
        [HANDOVER_LISTENER_LOCK] = master->listener.lock_fd,
        [HANDOVER_CONTROL] = master->control.listener.fd,
        [HANDOVER_CONTROL_LOCK] = master->control.listener.lock_fd,
        [HANDOVER_STDOUT] = out,
        [HANDOVER_STDERR] = err,
    };
    handover_send(link[0], will_json(master));
    return run(master, fds, pipe[1], problem);
}

static int tie_and_run(struct master *master, struct problem *problem)
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
    close_fd(&link[1]);
    close_fd(&pipe[1]);
    if (result) {
        close_fd(&link[0]);
        close_fd(&pipe[0]);
        return result;
    }
    (void)fcntl(pipe[0], F_SETFL, O_NONBLOCK);
    ev_io_set(&upgrade->link, link[0], EV_READ);
    ev_io_set(&upgrade->complaints, pipe[0], EV_READ);
    ev_io_start(master->loop, &upgrade->link);
    ev_io_start(master->loop, &upgrade->complaints);
    return 0;
}

/* Why there can be none now. Returns 0 or an exit code. */
static int refuse(const struct master *master, struct problem *problem)
{
    const struct inheritance *inheritance = master->inheritance;
    if (getpid() == 1)
        return problem_set(problem, EXIT_FAILED,
                           "process 1 of a container cannot be replaced by another one");
    if (!origin_get()->directory)
        return problem_set(problem, EXIT_FAILED,
                           "the directory that the master was started in had gone by then");
    if (master->policy.state >= POOL_STOPPING)
        return problem_set(problem, EXIT_NOT_NOW, "the pool is stopping");
    if (inheritance->waits)
        return problem_set(problem, EXIT_NOT_NOW,
                           "this is the new master of an upgrade; the former one is still there");
    if (master->upgrade.pid)
        return problem_set(problem, EXIT_NOT_NOW, "an upgrade is under way: its new master is pid %ld",
                           (long)master->upgrade.pid);
    if (master->policy.resting)
        return problem_set(problem, EXIT_NOT_NOW, "the pool is paused; resume it first");
    if (reload_is_under_way(&master->reload))
        return problem_set(problem, EXIT_NOT_NOW, "a reload is under way");
    return 0;
}

int upgrade_start(struct master *master, bool leaves, struct problem *problem)
{
    struct upgrade *upgrade = &master->upgrade;
    int64_t start_ms = master->settings.start_timeout_ms;
    int code = refuse(master, problem);
    if (code == 0)
        hooks_pool(master, SETTING_ID_HOOK_PRE_EXEC);
    if (code == 0 && tie_and_run(master, problem))
        code = EXIT_FAILED;
    if (code) {
        log_error("upgrade: %s", problem->text);
        return code;
    }
    enter(upgrade, UPGRADE_STARTING);
    upgrade->leaves = leaves;
    upgrade->shared = upgrade->too_late = false;
    upgrade->complaint[0] = '\0';
    if (start_ms)
        set_limit(master, start_ms + SPARE_MS);
    log_info("upgrade: %s was started as the new master, pid %ld", origin_get()->program, (long)upgrade->pid);
    return 0;
}

/* ---- the end ---- */

static void describe(const struct upgrade *upgrade, const siginfo_t *death, char *ret_text, size_t size)
{
    const char *when = upgrade->phase == UPGRADE_STARTING ? " before it served" : "";
    if (upgrade->too_late)
        snprintf(ret_text, size, "was ended, for it did not become ready in time");
    else if (death->si_code == CLD_EXITED)
        snprintf(ret_text, size, "exited with code %d%s", death->si_status, when);
    else
        snprintf(ret_text, size, "was killed by signal %d%s", death->si_status, when);
}

static char *reason_of(struct upgrade *upgrade, const siginfo_t *death)
{
    char how[80];
    describe(upgrade, death, how, sizeof how);
    while (read_complaint(upgrade))
        ;
    size_t length = strlen(upgrade->complaint);
    while (length > 0 && upgrade->complaint[length - 1] == '\n')
        upgrade->complaint[--length] = '\0';
    return memory_text("the new master, pid %ld, %s%s%s", (long)upgrade->pid, how, length ? ": " : "",
                       upgrade->complaint);
}

/* Of one that was killed. Its workers are ours to retire. */
static void clear_up(struct master *master)
{
    const char *control = conf_text(master->conf, SETTING_ID_CONTROL_SOCKET);
    char *path __attribute__((cleanup(memory_free_text))) = memory_text("%s.2", control);
    char *state __attribute__((cleanup(memory_free_text))) = memory_text("%s.state", path);
    struct problem unused;
    bool fresh;
    int lock_fd = path_lock_take(path, &fresh, &unused);
    if (lock_fd < 0)
        return;
    if (!fresh) {
        orphans_adopt(master, state);
        (void)unlink(state);
        (void)unlink(path);
    }
    path_lock_release(path, lock_fd);
    if (master->pidfile) {
        char *pidfile __attribute__((cleanup(memory_free_text))) = memory_text("%s.2", master->pidfile);
        (void)unlink(pidfile);
    }
}

bool upgrade_ended(struct master *master, const siginfo_t *death)
{
    struct upgrade *upgrade = &master->upgrade;
    int status = death->si_status;
    if (!upgrade->pid || death->si_pid != upgrade->pid)
        return false;
    char *reason = reason_of(upgrade, death);
    bool known = death->si_code == CLD_EXITED && status >= EXIT_USAGE && status <= EXIT_BAD_CONFIG;
    log_error("upgrade: %s", reason);
    ev_timer_stop(master->loop, &upgrade->limit);
    close_watcher(master, &upgrade->link);
    close_watcher(master, &upgrade->complaints);
    waitpid(upgrade->pid, NULL, WNOHANG);
    upgrade->pid = 0;
    enter(upgrade, UPGRADE_FAILED);
    upgrade->code = known ? status : EXIT_FAILED;
    upgrade->reason = reason;
    clear_up(master);
    master_end_if_done(master);
    control_notify(&master->control);
    return true;
}

void upgrade_at_stop(struct master *master)
{
    struct upgrade *upgrade = &master->upgrade;
    if (!upgrade->pid)
        return;
    (void)read_link(master); /* it may have become ready this moment */
    if (upgrade_has_heir(master)) {
        log_info("upgrade: the new master, pid %ld, takes the place of this one", (long)upgrade->pid);
        return;
    }
    ev_io_stop(master->loop, &upgrade->link); /* that it becomes ready is too late */
    (void)kill(upgrade->pid, SIGTERM);
    set_limit(master, master->settings.graceful_timeout_ms + SPARE_MS);
}

void upgrade_kill(struct master *master)
{
    if (!upgrade_holds(master))
        return;
    (void)kill(master->upgrade.pid, SIGQUIT);
    set_limit(master, SPARE_MS);
}

json_t *upgrade_json(const struct master *master)
{
    static const char *const names[] = {"never", "starting", "ready", "settled", "failed"};
    const struct upgrade *upgrade = &master->upgrade;
    if (upgrade->phase == UPGRADE_NEVER)
        return json_null();
    return json_pack("{s:s,s:o,s:s?}", "state", names[upgrade->phase], "pid",
                     upgrade->pid ? json_integer(upgrade->pid) : json_null(), "reason", upgrade->reason);
}

void upgrade_init(struct master *master)
{
    struct upgrade *upgrade = &master->upgrade;
    ev_io_init(&upgrade->link, on_link, -1, EV_READ);
    ev_io_init(&upgrade->complaints, on_complaint, -1, EV_READ);
    ev_timer_init(&upgrade->limit, on_limit, 0.0, 0.0);
    upgrade->link.data = upgrade->complaints.data = upgrade->limit.data = master;
}

void upgrade_tell_totals(struct master *master)
{
    if (upgrade_has_heir(master))
        handover_send(master->upgrade.link.fd, status_totals_json(master));
}

void upgrade_stop(struct master *master)
{
    struct upgrade *upgrade = &master->upgrade;
    ev_timer_stop(master->loop, &upgrade->limit);
    close_watcher(master, &upgrade->link);
    close_watcher(master, &upgrade->complaints);
    free(upgrade->reason);
    upgrade->reason = NULL;
}
