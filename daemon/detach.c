/* Going to the background; see detach.h. */
#include "daemon/detach.h"

#include "daemon/base/exit_code.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* Where the child has the pipe, and what it keeps. */
#define REPORT_FD (STDERR_FILENO + 1)
#define KEPT_FD   (REPORT_FD + 1)

/* ---- the parent ---- */

struct wait {
    pid_t child;
    int report_fd; /* -1: nothing more will come */
    int signal_fd;
    bool asked; /* the child was asked to stop */
};

__attribute__((format(printf, 1, 2))) static int fail(const char *format, ...)
{
    va_list args;
    fputs("fcgipool: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return EXIT_FAILED;
}

/* Says what the child could not say itself. */
static int judge(const struct wait *wait, int status)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILED;
    if (WIFSIGNALED(status))
        return fail("the master was killed by signal %d before the pool was ready", WTERMSIG(status));
    if (wait->asked || code == EXIT_DONE)
        return fail("the pool was stopped before it was ready");
    if (code != EXIT_FAILED && code != EXIT_NOT_NOW)
        return fail("the master exited with code %d before the pool was ready", code);
    return code;
}

/* True when the pool is ready. */
static bool take_report(struct wait *wait)
{
    char byte;
    bool ready = read(wait->report_fd, &byte, 1) == 1;
    close(wait->report_fd);
    wait->report_fd = -1;
    return ready;
}

/* True when the child has ended. */
static bool take_signal(struct wait *wait, int *ret_status)
{
    struct signalfd_siginfo info;
    if (read(wait->signal_fd, &info, sizeof info) != sizeof info)
        return false;
    if (info.ssi_signo == SIGCHLD)
        return waitpid(wait->child, ret_status, WNOHANG) == wait->child;
    wait->asked = true;
    kill(wait->child, SIGTERM);
    return false;
}

static int await(struct wait *wait)
{
    int status;
    for (;;) {
        struct pollfd fds[] = {{.fd = wait->report_fd, .events = POLLIN},
                               {.fd = wait->signal_fd, .events = POLLIN}};
        if (poll(fds, 2, -1) < 0)
            continue;
        if (fds[0].revents && take_report(wait) && !wait->asked)
            return EXIT_DONE;
        if (fds[1].revents && take_signal(wait, &status))
            return judge(wait, status);
    }
}

/* Those that ask the parent to stop, unless whoever started it wants them ignored (nohup); and the child's
 * end. */
static void block_signals(sigset_t *ret_set)
{
    static const int asking[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    struct sigaction action;
    sigemptyset(ret_set);
    for (size_t i = 0; i < sizeof asking / sizeof *asking; i++)
        if (sigaction(asking[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            sigaddset(ret_set, asking[i]);
    signal(SIGCHLD, SIG_DFL); /* ignored, it would leave nothing to wait for */
    sigaddset(ret_set, SIGCHLD);
    sigprocmask(SIG_BLOCK, ret_set, NULL);
}

/* ---- the child ---- */

static void become_master(struct detach *ret_detach, int report_fd, int *kept_fd)
{
    /* Out of the way of both. */
    int kept = *kept_fd >= 0 ? fcntl(*kept_fd, F_DUPFD_CLOEXEC, KEPT_FD + 1) : -1;
    setsid();
    if (report_fd != REPORT_FD)
        dup3(report_fd, REPORT_FD, O_CLOEXEC);
    *kept_fd = kept >= 0 ? dup3(kept, KEPT_FD, O_CLOEXEC) : -1;
    closefrom(kept >= 0 ? KEPT_FD + 1 : KEPT_FD);
    ret_detach->fd = REPORT_FD;
}

bool detach_waits(const struct detach *detach)
{
    return detach->fd >= 0;
}

void detach_ready(struct detach *detach)
{
    if (detach->fd < 0)
        return;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
        dup2(null, fd);
    if (null >= 0)
        close(null);
    ssize_t ignored = write(detach->fd, "", 1); /* the parent may be gone */
    (void)ignored;
    close(detach->fd);
    detach->fd = -1;
}

/* ---- both ---- */

bool detach_fork(struct detach *ret_detach, int *kept_fd, int *ret_code)
{
    int ends[2];
    sigset_t set;
    if (pipe2(ends, O_CLOEXEC)) {
        *ret_code = fail("pipe: %s", strerror(errno));
        return false;
    }
    fflush(NULL);
    /* Before the fork, so that the child loses none either. */
    block_signals(&set);
    struct wait wait = {.report_fd = ends[0], .signal_fd = signalfd(-1, &set, SFD_CLOEXEC)};
    wait.child = wait.signal_fd >= 0 ? fork() : -1;
    if (wait.child == 0) {
        become_master(ret_detach, ends[1], kept_fd);
        return true;
    }
    int error = errno;
    close(ends[1]);
    *ret_code = wait.child > 0 ? await(&wait) : fail("fork: %s", strerror(error));
    if (wait.report_fd >= 0)
        close(wait.report_fd);
    if (wait.signal_fd >= 0)
        close(wait.signal_fd);
    return false;
}
