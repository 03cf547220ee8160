/* What each signal means; see signals.h. */
#include "daemon/signals.h"

#include "daemon/logs.h"
#include "daemon/master.h"
#include "daemon/reap.h"
#include "daemon/reload.h"
#include "daemon/upgrade.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

typedef void signal_function(struct master *master, const struct signalfd_siginfo *info);

/* Sent by the kernel, that is by the terminal and its job control, not by a person or a program. */
static bool is_from_terminal(const struct signalfd_siginfo *info)
{
    return info->ssi_code == SI_KERNEL;
}

static void log_signal(const struct signalfd_siginfo *info, const char *meaning)
{
    log_info("SIG%s from pid %u: %s", sigabbrev_np((int)info->ssi_signo), info->ssi_pid, meaning);
}

static void on_stop(struct master *master, const struct signalfd_siginfo *info)
{
    log_signal(info, "graceful stop");
    master_event(master, EVENT_STOP, 0, 0);
}

static void on_quick_stop(struct master *master, const struct signalfd_siginfo *info)
{
    log_signal(info, "quick stop");
    master_event(master, EVENT_STOP_QUICK, 0, 0);
}

static void on_scale(struct master *master, const struct signalfd_siginfo *info)
{
    bool up = info->ssi_signo == SIGTTIN;
    if (is_from_terminal(info))
        return;
    log_signal(info, up ? "one worker more" : "one worker less");
    master_scale(master, up ? 1 : -1, true);
}

static void on_hangup(struct master *master, const struct signalfd_siginfo *info)
{
    if (is_from_terminal(info)) {
        if (!master->outlives_terminal)
            on_stop(master, info);
        return;
    }
    struct problem problem;
    log_signal(info, "reload");
    if (master->policy.state < POOL_STOPPING)
        (void)reload(master, &problem); /* it was logged */
}

static void on_window_change(struct master *master, const struct signalfd_siginfo *info)
{
    if (is_from_terminal(info))
        return;
    log_signal(info, "pause");
    master_event(master, EVENT_PAUSE, 0, 0);
}

static void on_reopen(struct master *master, const struct signalfd_siginfo *info)
{
    struct problem problem;
    log_signal(info, "reopening the log files");
    (void)logs_reopen(master, &problem);
}

static void on_upgrade(struct master *master, const struct signalfd_siginfo *info)
{
    struct problem problem;
    log_signal(info, "upgrade");
    (void)upgrade_start(master, false, &problem); /* it was logged */
}

static void on_child(struct master *master, const struct signalfd_siginfo *info)
{
    (void)info;
    reap(master);
}

static const struct {
    int number;
    signal_function *function;
} table[] = {
    {SIGTERM, on_stop},           {SIGINT, on_quick_stop}, {SIGQUIT, on_quick_stop}, {SIGHUP, on_hangup},
    {SIGTTIN, on_scale},          {SIGTTOU, on_scale},     {SIGUSR1, on_reopen},     {SIGUSR2, on_upgrade},
    {SIGWINCH, on_window_change}, {SIGCHLD, on_child},
};

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct master *master = watcher->data;
    struct signalfd_siginfo info;
    (void)loop, (void)events;
    while (read(watcher->fd, &info, sizeof info) == sizeof info)
        for (size_t i = 0; i < sizeof table / sizeof *table; i++)
            if ((int)info.ssi_signo == table[i].number)
                table[i].function(master, &info);
}

static bool is_ignored(int number)
{
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static sigset_t all(void)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        sigaddset(&set, table[i].number);
    return set;
}

void signals_hold(void)
{
    sigset_t set = all();
    sigprocmask(SIG_BLOCK, &set, NULL);
}

int signals_start(struct master *master)
{
    sigset_t set = all();
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    sigprocmask(SIG_BLOCK, &set, NULL);
    master->outlives_terminal = is_ignored(SIGHUP); /* nohup */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a log at its size limit is a full disk, and no reason to die */
    ev_io_init(&master->signals, on_readable, fd, EV_READ);
    master->signals.data = master;
    ev_io_start(master->loop, &master->signals);
    return 0;
}

void signals_stop(struct master *master)
{
    ev_io_stop(master->loop, &master->signals);
    close(master->signals.fd);
}
