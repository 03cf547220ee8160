/* The drain; see drain.h. */
#include "pool/worker/drain.h"

#include "pool/worker/acceptor.h"
#include "pool/worker/connection.h"
#include "pool/worker/descriptor.h"
#include "pool/worker/hot.h"
#include "pool/worker/next.h"
#include "pool/worker/wait.h"
#include "pool/worker/wake.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* A program that comes to accept as often as this, in spite of EINVAL, is left no choice. */
#define REFUSALS_MAX 16

/* A kept connection that has rested so long is ended: the client hardly sends the next request right now. */
#define REST_NS 1000000000U

_Static_assert(PAGE_DRAIN_SIGNAL == SIGURG, "the number, where signal.h cannot be included");

/* Whether the dead socket stands in the listener's place. */
enum { SWAP_NOT, SWAP_AT_IT, SWAP_DONE };
static uint8_t swapped;

static bool gave_up;

static PROCESS_THREAD unsigned signal_count, refusals;
static int domain;
static struct sockaddr_storage listener_name; /* of the listener, to know its connections by */
static socklen_t listener_length;

static void pause_ms(long ms)
{
    struct timespec pause = {.tv_nsec = ms * 1000000L};
    syscall(SYS_nanosleep, &pause, NULL);
}

unsigned drain_signals(void)
{
    return signal_count;
}

/* ---- the dead socket ---- */

static int dead;

static void put_dead(int fd)
{
    int flags = (int)syscall(SYS_fcntl, fd, F_GETFD);
    syscall(SYS_dup3, dead, fd, flags > 0 && (flags & FD_CLOEXEC) ? O_CLOEXEC : 0);
}

/* Whatever its number, the listener is known by its inode. */
static void replace_listener(int fd, struct connection *connection)
{
    (void)connection;
    if (process_is_listener(fd))
        wait_replace(fd, put_dead);
}

/* True for the one that is to do it. Who comes meanwhile has to see it done: it would wait for the old
 * listener, and nobody would wake it. */
static bool begin_swap(void)
{
    uint8_t state = SWAP_NOT;
    while (!__atomic_compare_exchange_n(&swapped, &state, SWAP_AT_IT, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST)) {
        if (state == SWAP_DONE)
            return false;
        sched_yield();
        state = SWAP_NOT;
    }
    return true;
}

/* The signal is held, or this is its handler. Async-signal-safe. */
static HOT void swap(void)
{
    if (!begin_swap())
        return;
    dead = (int)syscall(SYS_socket, domain, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (dead >= 0) {
        descriptor_each(DESCRIPTOR_LISTENER, replace_listener);
        syscall(SYS_close, dead);
    }
    /* Without a descriptor left: at the next signal perhaps. */
    __atomic_store_n(&swapped, dead >= 0 ? SWAP_DONE : SWAP_NOT, __ATOMIC_SEQ_CST);
}

/* The reading side only: what was read this moment can still be answered. */
static void end_rest(int fd, struct connection *connection)
{
    if (connection->rests && connection->tid == process_tid() &&
        process_now() - connection->since_ns > REST_NS)
        syscall(SYS_shutdown, fd, SHUT_RD);
}

static void on_signal(int number)
{
    int error = errno;
    (void)number;
    signal_count++;
    if (drain_asked()) {
        swap();
        if (!process.hosted)
            descriptor_each(DESCRIPTOR_CONNECTION, end_rest);
    }
    errno = error;
}

/* glibc's own: a thread sanitizer stands before the other name and would put the handler off until the accept
 * has returned. */
extern int __sigaction(int number, const struct sigaction *action, struct sigaction *former)
    __attribute__((weak));

void drain_attach(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    socklen_t size = sizeof domain;
    (void)getsockopt(0, SOL_SOCKET, SO_DOMAIN, &domain, &size);
    listener_length = sizeof listener_name;
    if (getsockname(0, (struct sockaddr *)&listener_name, &listener_length) < 0 ||
        listener_length > sizeof listener_name)
        listener_length = 0;
    sigfillset(&action.sa_mask);
    (void)(__sigaction ? __sigaction : sigaction)(PAGE_DRAIN_SIGNAL, &action, NULL);
}

/* ---- what is in hand ---- */

static in_port_t port_of(const struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET ? ((const struct sockaddr_in *)address)->sin_port
                                         : ((const struct sockaddr_in6 *)address)->sin6_port;
}

/* True when `fd` is a socket with the listener's address. */
static bool belongs(int fd)
{
    struct sockaddr_storage own = {.ss_family = AF_UNSPEC};
    socklen_t length = sizeof own;
    int error = errno;
    bool answered = getsockname(fd, (struct sockaddr *)&own, &length) == 0;
    errno = error;
    if (!answered || own.ss_family != listener_name.ss_family)
        return false;
    if (own.ss_family == AF_INET || own.ss_family == AF_INET6)
        return port_of(&own) == port_of(&listener_name);
    return length == listener_length && memcmp(&own, &listener_name, length) == 0;
}

static void find_closed(int fd, struct connection *connection)
{
    (void)connection;
    if (!belongs(fd))
        descriptor_closed(fd);
}

bool drain_in_hand(void)
{
    descriptor_each(DESCRIPTOR_CONNECTION, find_closed);
    return descriptor_any(DESCRIPTOR_CONNECTION);
}

static bool has_hung_up(int fd)
{
    struct pollfd peer = {.fd = fd};
    int error = errno;
    (void)NEXT(poll)(&peer, 1, 0);
    errno = error;
    return (peer.revents & (POLLHUP | POLLERR)) != 0;
}

static PROCESS_THREAD bool is_awaited;

/* Many a program closes a connection when the next one takes its place. One that is through, or has nobody to
 * answer, and is this thread's, would wait for this thread. */
static void await(int fd, struct connection *connection)
{
    bool own = connection->tid == process_tid();
    if (own && (connection->state == PAGE_FINISHING || has_hung_up(fd)))
        return;
    is_awaited = true;
}

/* True while other threads are to close connections, as far as can be known. */
static bool others_serve(void)
{
    is_awaited = false;
    if (drain_in_hand())
        descriptor_each(DESCRIPTOR_CONNECTION, await);
    return is_awaited;
}

HOT void drain_give_up(void)
{
    int error = errno;
    process_hold_signal(); /* the program may have let it through: its handler would wait for us */
    swap();
    if (!__atomic_exchange_n(&gave_up, true, __ATOMIC_SEQ_CST)) {
        __atomic_add_fetch(&process.page->report.drained, 1, __ATOMIC_SEQ_CST);
        wake_master(PAGE_WAKE_DRAINED);
    }
    errno = error;
}

void drain_closed(void)
{
    if (PROCESS_UNLIKELY(drain_asked()) && !descriptor_any(DESCRIPTOR_CONNECTION))
        wake_master(PAGE_WAKE_DRAINED);
}

static bool has_unread(int fd)
{
    int unread = 1;
    return syscall(SYS_ioctl, fd, FIONREAD, &unread) == 0 && unread > 0;
}

/* A request that is there already is served, and the connection is ended after it: an application may take
 * the end of what it reads for a client that has gone. From the end on, a client's next request fails before
 * a byte of it has gone out (unix), which web servers retry. */
void drain_kept(int fd)
{
    if (!drain_asked() || process.hosted)
        return;
    int error = errno;
    if (!has_unread(fd)) {
        syscall(SYS_shutdown, fd, SHUT_RD);
        if (!has_unread(fd))
            syscall(SYS_shutdown, fd, SHUT_WR);
    }
    errno = error;
}

/* ---- refusal ---- */

static char **own_environment;

extern int FCGI_Accept(void) __attribute__((weak));

void drain_accepts(void)
{
    own_environment = environ;
}

/* fcgi_stdio leaves `environ` in the freed parameters of its last request, and what runs at exit may ask for
 * a variable. */
static void restore_environment(void)
{
    if (FCGI_Accept && environ != own_environment)
        environ = own_environment;
}

/* The child of a pre-forking leader: if it left, the leader would fork it again. The master sends the group
 * SIGTERM when nobody of it serves any more. */
static void wait_for_the_end(void)
{
    if (process.parent == 0 || syscall(SYS_getppid) != process.parent)
        return;
    __atomic_or_fetch(&process.page->report.flags, PAGE_NESTED, __ATOMIC_SEQ_CST);
    wake_master(PAGE_WAKE_DRAINED);
    (void)pause();
}

HOT int drain_refuse(bool returns)
{
    drain_give_up();
    if (returns && drain_in_hand()) {
        pause_ms(1);
        errno = EAGAIN;
        return -1;
    }
    while (!returns && !process.hosted && others_serve())
        pause_ms(2);
    wait_for_the_end();
    if (++refusals > REFUSALS_MAX)
        exit(0);
    restore_environment();
    errno = EINVAL;
    return -1;
}

void drain_forked(void)
{
    gave_up = false;
    refusals = 0;
    if (swapped == SWAP_AT_IT)
        swapped = SWAP_NOT; /* by a thread that is not here */
}
