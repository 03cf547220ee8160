/* Accepting; see accept.h. */
#include "pool/worker/accept.h"

#include "pool/worker/acceptor.h"
#include "pool/worker/drain.h"
#include "pool/worker/hot.h"
#include "pool/worker/next.h"
#include "pool/worker/wait.h"
#include "pool/worker/wake.h"

#include <errno.h>

/* How long to wait for a connection where accept does not, in milliseconds: any time will do. */
#define LOOK_AGAIN_MS 1000

bool accept_finds(int fd)
{
    int error = errno;
    bool listener = process_is_listener(fd);
    if (listener)
        descriptor_listens(fd);
    errno = error;
    return listener;
}

static HOT int call(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
    return flags < 0 ? NEXT(accept)(fd, address, length) : NEXT(accept4)(fd, address, length, flags);
}

static void wake(int idle)
{
    wake_if(idle > 0 ? PAGE_WAKE_REQUEST : PAGE_WAKE_REQUEST | PAGE_WAKE_ALL_BUSY);
}

/* The program asked for a listener that does not block: it waits elsewhere. */
static int accept_now(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
    if (PROCESS_UNLIKELY(drain_asked()))
        return drain_refuse(true);
    int connection = call(fd, address, length, flags);
    if (connection < 0)
        return connection;
    descriptor_accepted(connection, process_tid());
    wake(__atomic_load_n(&process.pool->idle, __ATOMIC_SEQ_CST));
    return connection;
}

/* O_NONBLOCK belongs to the socket that the whole pool shares: somebody else has set it, and this program
 * never asked for it. It must not see EAGAIN, of which many die. */
static bool is_foreign(int fd)
{
    return (NEXT(fcntl)(fd, F_GETFL) & O_NONBLOCK) != 0;
}

/* EINVAL may as well come of what the program passed. A listener that is shut hangs up. */
static bool is_shut(int fd)
{
    struct pollfd listener = {.fd = fd, .events = POLLRDHUP};
    int error = errno;
    bool shut = NEXT(poll)(&listener, 1, 0) > 0 && listener.revents & (POLLHUP | POLLRDHUP);
    errno = error;
    return shut;
}

/* Returns false, and EINTR, when a signal that is not ours has come. */
static bool wait_for_connection(int fd)
{
    struct pollfd listener = {.fd = fd, .events = POLLIN};
    unsigned signals = drain_signals();
    if (!acceptor_wait())
        return true;
    bool interrupted = NEXT(poll)(&listener, 1, LOOK_AGAIN_MS) < 0 && errno == EINTR;
    acceptor_leave();
    return !interrupted || signals != drain_signals();
}

HOT int accept_connection(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
    socklen_t room = length ? *length : 0;
    acceptor_enter();
    if (process.nonblocking)
        return accept_now(fd, address, length, flags);
    for (;;) {
        if (PROCESS_UNLIKELY(!acceptor_wait()))
            return drain_refuse(wait_is_habit());
        int connection = call(fd, address, length, flags);
        /* At no moment may the page show neither that it waits nor what it has accepted. */
        if (PROCESS_LIKELY(connection >= 0))
            descriptor_accepted(connection, process_tid());
        int idle = acceptor_leave();
        if (PROCESS_LIKELY(connection >= 0)) {
            wake(idle);
            return connection;
        }
        if (drain_asked())
            return drain_refuse(wait_is_habit());
        if (errno == EINVAL && is_shut(fd))
            drain_give_up(); /* the pool stops: the listener is shut, and this process knows */
        if (errno != EAGAIN || !is_foreign(fd))
            return connection;
        if (!wait_for_connection(fd))
            return -1;
        if (length)
            *length = room;
    }
}
