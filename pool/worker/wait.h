/*
 * Waits for the listener by poll, select and epoll: quiescent points as an accept is.
 *
 * In the drain, while this process still has connections in hand, its loop must not see the listener, which
 * then is a dead socket and always ready: it is hidden, and the waits are short, for another thread may close
 * the last connection. When nothing is in hand it is shown, the program comes to accept and is refused.
 */
#ifndef FCGIPOOL_POOL_WORKER_WAIT_H
#define FCGIPOOL_POOL_WORKER_WAIT_H

#include "pool/worker/descriptor.h"

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>

/* What is longer is for ever. */
#define WAIT_SECONDS_MAX 1000000000

/* False when the call is to be refused, which is for the kernel to do. */
static inline bool wait_is_valid(const struct timespec *timeout)
{
    return !timeout || (timeout->tv_sec >= 0 && timeout->tv_nsec >= 0 && timeout->tv_nsec < 1000000000);
}

/* True when the listener is in such a wait. */
bool wait_listens(const struct pollfd *fds, nfds_t count);

/* True when a wait concerns us: the listener is in it, or it is for one kept connection that rests. */

static inline bool wait_sees_poll(const struct pollfd *fds, nfds_t count)
{
    if (PROCESS_LIKELY(count == 1)) {
        const struct descriptor *only = descriptor_entry(fds->fd);
        if (!only || only->kind == DESCRIPTOR_OTHER)
            return false;
        if (PROCESS_LIKELY(only->kind == DESCRIPTOR_CONNECTION))
            return only->connection.rests;
    }
    return wait_listens(fds, count);
}

static inline bool wait_sees_select(int count, const fd_set *readable)
{
    bool seen = readable && count <= FD_SETSIZE;
    for (unsigned fd = 0; seen && fd < descriptor_listener_end && (int)fd < count; fd++) {
        if (FD_ISSET(fd, readable) && descriptor_is_listener((int)fd))
            return true;
    }
    return false;
}

bool wait_sees_epoll(int epoll);

/* As ppoll, pselect and epoll_pwait; a `timeout` of NULL is for ever. */
int wait_poll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask);
int wait_select(int count, fd_set *readable, fd_set *writable, fd_set *exceptional,
                const struct timespec *timeout, const sigset_t *mask);
int wait_epoll(int epoll, struct epoll_event *events, int size, const struct timespec *timeout,
               const sigset_t *mask);

/* As epoll_ctl; `fd` is the listener. */
int wait_control(int epoll, int operation, int fd, struct epoll_event *event);

/* `epoll` is closed. */
void wait_closed(int epoll);

/* Calls `replace`, which puts another file under the number of the listener; then that is what its epoll sets
 * have, for a registration belongs to the file. The signal is held, or this is its handler. */
void wait_replace(int fd, void (*replace)(int fd));

/* In the child of a fork. */
void wait_forked(void);

/* True when this thread has waited so for the listener: it serves connections between its accepts. */
bool wait_is_habit(void);

#endif
