/*
 * vfork where the child stays who we are: it borrows our memory and stack, and we wait, until it has ended in
 * exec or _exit; so it writes nothing of ours and calls nothing that is not async-signal-safe. A child that
 * becomes somebody else is within reach of that user before its exec, who could stop it for good, and we
 * would never wake up: it is forked, and waited for until a deadline only.
 */
#include "daemon/kernel/spawn.h"

#include "daemon/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LAST_SIGNAL 64

/* From the fork to the exec, of a child that becomes somebody else; a thousand times what it takes. */
#define EXEC_LIMIT_MS 2000
/* From its SIGKILL to its end. */
#define KILL_LIMIT_MS 100

/* Where user and group ids once had 16 bits, the calls of today have names of their own. */
#ifdef SYS_setgroups32
#    define SETGROUPS SYS_setgroups32
#    define SETRESGID SYS_setresgid32
#    define SETRESUID SYS_setresuid32
#else
#    define SETGROUPS SYS_setgroups
#    define SETRESGID SYS_setresgid
#    define SETRESUID SYS_setresuid
#endif

enum step {
    STEP_GROUP,
    STEP_STDIN,
    STEP_OUTPUT,
    STEP_KEEP,
    STEP_SETRLIMIT,
    STEP_NICE,
    STEP_AFFINITY,
    STEP_SETGROUPS,
    STEP_SETGID,
    STEP_SETUID,
    STEP_CAPABILITIES,
    STEP_CHDIR,
    STEP_EXEC,
};

static const char *const step_names[] = {
    [STEP_GROUP] = "group",
    [STEP_STDIN] = "stdin",
    [STEP_OUTPUT] = "output",
    [STEP_KEEP] = "keep",
    [STEP_SETRLIMIT] = "setrlimit",
    [STEP_NICE] = "nice",
    [STEP_AFFINITY] = "affinity",
    [STEP_SETGROUPS] = "setgroups",
    [STEP_SETGID] = "setgid",
    [STEP_SETUID] = "setuid",
    [STEP_CAPABILITIES] = "capabilities",
    [STEP_CHDIR] = "chdir",
    [STEP_EXEC] = "exec",
};

struct report {
    enum step step;
    int error;
};

struct child {
    const struct spawn_options *options;
    int report_fd; /* the writing end, close-on-exec, above 2 */
    int last_fd;   /* no descriptor is above this one */
};

/* --- in the child --- */

__attribute__((noreturn)) static void fail(const struct child *child, enum step step)
{
    struct report report = {.step = step, .error = errno};
    ssize_t ignored = write(child->report_fd, &report, sizeof report);
    (void)ignored;
    _exit(127);
}

/* True when the session is the parent's own, so that no stranger is in it who could join the child's group,
 * and has no terminal, into which whoever has it could write commands. */
static bool is_safe_session(void)
{
    if (getsid(0) != getppid())
        return false;
    int terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (terminal < 0)
        return errno == ENXIO;
    (void)close(terminal);
    return false;
}

static void reset_signals(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    for (int number = 1; number <= LAST_SIGNAL; number++)
        (void)sigaction(number, &action, NULL);
}

/* A descriptor out of the way of 0, 1 and 2. */
static int above_output(int fd)
{
    return fd > STDERR_FILENO ? fd : fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

/* Everything above 2 ends at exec, and not before: the report's pipe is needed until then. */
static void close_on_exec(int last_fd)
{
#if defined(SYS_close_range) && defined(CLOSE_RANGE_CLOEXEC)
    if (syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
        return;
#endif
    for (int fd = STDERR_FILENO + 1; fd <= last_fd; fd++)
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static void keep(const struct child *child)
{
    for (size_t i = 0; i < child->options->kept_count; i++)
        if (fcntl(child->options->kept_fds[i], F_SETFD, 0) != 0)
            fail(child, STEP_KEEP);
}

/* A library that cannot be read would be complained of in every program that the worker runs. */
static char *const *environment(const struct spawn_options *options)
{
    bool plain = options->preload != NULL && access(options->preload, R_OK) != 0;
    return plain ? options->plain_envp : options->envp;
}

/* As root, where we are root: only root may raise these. */
static void set_limits(const struct child *child)
{
    const struct spawn_options *options = child->options;
    if (options->descriptors != NULL && setrlimit(RLIMIT_NOFILE, options->descriptors) != 0)
        fail(child, STEP_SETRLIMIT);
    for (size_t i = 0; i < options->limit_count; i++)
        if (setrlimit((__rlimit_resource_t)options->limits[i].resource, &options->limits[i].value) != 0)
            fail(child, STEP_SETRLIMIT);
    if (options->nice != NULL && setpriority(PRIO_PROCESS, 0, *options->nice) != 0)
        fail(child, STEP_NICE);
    if (options->processors != NULL &&
        sched_setaffinity(0, sizeof *options->processors, options->processors) != 0)
        fail(child, STEP_AFFINITY);
}

/* The groups first, the user last: with the user goes the right to change the groups. All three ids of each,
 * so that none is left to return to; the file system's follow the effective ones. By raw system calls: those
 * of the C library take locks and make every thread of the process change with them, and the threads are
 * ours. The kernel takes the effective capabilities of a root that becomes somebody else, but not the
 * inheritable ones, and none of an ordinary user's. */
static void drop_privileges(const struct child *child)
{
    const struct credentials *become = child->options->credentials;
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
    if (syscall(SETGROUPS, become->group_count, become->groups) != 0)
        fail(child, STEP_SETGROUPS);
    if (syscall(SETRESGID, become->gid, become->gid, become->gid) != 0)
        fail(child, STEP_SETGID);
    if (syscall(SETRESUID, become->uid, become->uid, become->uid) != 0)
        fail(child, STEP_SETUID);
    /* EINVAL: a kernel without ambient capabilities. */
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL)
        fail(child, STEP_CAPABILITIES);
    if (become->uid != 0 && syscall(SYS_capset, &header, none) != 0)
        fail(child, STEP_CAPABILITIES);
}

/* The order matters: what needs our privileges comes before the drop, what must not have them after it. */
__attribute__((noreturn, noinline)) static void run_child(const struct child *child)
{
    const struct spawn_options *options = child->options;
    if ((options->same_session && is_safe_session() ? setpgid(0, 0) : setsid()) < 0)
        fail(child, STEP_GROUP);
    reset_signals();

    int in = above_output(options->stdin_fd);
    int out = options->inherit_output ? -1 : above_output(options->output_fd);
    if (in < 0 || dup2(in, STDIN_FILENO) < 0)
        fail(child, STEP_STDIN);
    if (!options->inherit_output && (out < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0))
        fail(child, STEP_OUTPUT);
    close_on_exec(child->last_fd);
    keep(child);

    set_limits(child);
    if (options->credentials != NULL)
        drop_privileges(child);

    /* From here on as the worker's user, who must be able to enter the directory and to run the program. */
    (void)umask(options->umask);
    if (options->chdir != NULL && chdir(options->chdir) != 0)
        fail(child, STEP_CHDIR);

    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)execve(options->path, options->argv, environment(options));
    fail(child, STEP_EXEC);
}

/* --- in the parent --- */

/* Alone in its frame, for the child returns from vfork on the same stack before we do. */
__attribute__((noinline)) static pid_t start_child(const struct child *child)
{
    pid_t pid = child->options->credentials != NULL ? fork() : vfork();
    if (pid == 0)
        run_child(child);
    return pid;
}

/* Both ends close-on-exec, the writing one above 2. */
static int make_pipe(int *ret_read_fd, int *ret_write_fd)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -errno;
    int moved = above_output(ends[1]);
    int error = moved < 0 ? -errno : 0;
    if (moved != ends[1])
        (void)close(ends[1]);
    if (error != 0) {
        (void)close(ends[0]);
        return error;
    }
    *ret_read_fd = ends[0];
    *ret_write_fd = moved;
    return 0;
}

/* The highest descriptor that we may have open. */
static int last_descriptor(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > INT_MAX)
        return INT_MAX - 1;
    return (int)limit.rlim_cur - 1;
}

/* What the child says. Returns its size, 0 for an exec, which closes the pipe without a word, or -ETIMEDOUT.
 * Signals are blocked. */
static ssize_t read_report(int fd, int limit_ms, struct report *ret_report)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    if (poll(&wait, 1, limit_ms) == 0)
        return -ETIMEDOUT;
    return read(fd, ret_report, sizeof *ret_report);
}

/* Ends a child that has failed; it may have been stopped even after it said so. One that SIGKILL does not end
 * at once, deep in a file system, is left to who reaps our children. */
static void end_child(pid_t pid)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    (void)kill(pid, SIGKILL);
    for (int i = 0; i < KILL_LIMIT_MS && waitpid(pid, NULL, WNOHANG) == 0; i++)
        (void)nanosleep(&pause, NULL);
}

/* With all signals blocked: a handler that ran in a vforked child would run on our memory. */
static int start_blocked(const struct spawn_options *options, int report_fd, int write_fd, pid_t *ret_pid,
                         const char **ret_step)
{
    bool alone = options->credentials != NULL;
    struct child child = {.options = options, .report_fd = write_fd, .last_fd = last_descriptor()};
    struct report report;
    pid_t pid = start_child(&child);
    int error = pid < 0 ? -errno : 0;
    (void)close(write_fd);
    if (error != 0) {
        *ret_step = alone ? "fork" : "vfork";
        return error;
    }
    ssize_t size = read_report(report_fd, alone ? EXEC_LIMIT_MS : -1, &report);
    if (size == -ETIMEDOUT) {
        end_child(pid);
        *ret_step = "no exec in time";
        return -ETIMEDOUT;
    }
    if (size == (ssize_t)sizeof report) {
        end_child(pid);
        *ret_step = step_names[report.step];
        return -report.error;
    }
    *ret_pid = pid;
    return 0;
}

int spawn_process(const struct spawn_options *options, pid_t *ret_pid, const char **ret_step)
{
    __attribute__((cleanup(fd_close))) int read_fd = -1;
    int write_fd = -1;
    int error = make_pipe(&read_fd, &write_fd);
    if (error != 0) {
        *ret_step = "pipe";
        return error;
    }
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    error = start_blocked(options, read_fd, write_fd, ret_pid, ret_step);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return error;
}
