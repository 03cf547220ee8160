/* A write that a timer ends; see brief_write.h. */
#include "daemon/base/brief_write.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

static void on_alarm(int number)
{
    (void)number; /* that it comes interrupts the write */
}

/* The timer goes on, for it may fire before the write has begun. */
static ssize_t write_until_alarm(int fd, const void *data, size_t length)
{
    const struct timeval limit = {.tv_usec = BRIEF_WRITE_MS * 1000};
    const struct itimerval timer = {.it_interval = limit, .it_value = limit};
    struct itimerval before;
    setitimer(ITIMER_REAL, &timer, &before);
    ssize_t written = write(fd, data, length);
    int error = errno;
    setitimer(ITIMER_REAL, &before, NULL);
    errno = error;
    return written;
}

ssize_t brief_write(int fd, const void *data, size_t length)
{
    const struct sigaction action = {.sa_handler = on_alarm};
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    struct sigaction action_before;
    sigset_t alarm, mask_before;
    if (poll(&ready, 1, 0) != 1) {
        errno = EAGAIN;
        return -1;
    }
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    sigaction(SIGALRM, &action, &action_before);
    sigprocmask(SIG_UNBLOCK, &alarm, &mask_before);
    ssize_t written = write_until_alarm(fd, data, length);
    int error = errno;
    sigprocmask(SIG_SETMASK, &mask_before, NULL);
    sigaction(SIGALRM, &action_before, NULL);
    errno = error;
    return written;
}
