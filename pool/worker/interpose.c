/*
 * What the library stands in front of: thin, and of no effect on anything but the listener and the
 * connections accepted from it.
 */
#include "pool/worker/accept.h"
#include "pool/worker/descriptor.h"
#include "pool/worker/hot.h"
#include "pool/worker/next.h"
#include "pool/worker/wait.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#define EXPORTED __attribute__((visibility("default")))

/* The names under which libc offers the same to fortified programs and to those built for large files. */
ssize_t __read_chk(int fd, void *bytes, size_t size, size_t room);
ssize_t __recv_chk(int fd, void *bytes, size_t size, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *bytes, size_t size, size_t room, int flags, struct sockaddr *address,
                       socklen_t *length);
int __poll_chk(struct pollfd *fds, nfds_t count, int ms, size_t room);
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask,
                size_t room);
extern void __chk_fail(void) __attribute__((weak, noreturn));

/* Out of line: every read passes by, hardly one comes here. */
static __attribute__((noinline)) void rest_begins(void)
{
    process_let_signal();
}

static __attribute__((noinline)) void rest_ends(void)
{
    process_hold_signal();
}

/* READS(fd, name, arguments, seen): the call, and then, if `fd` is a `connection` and `size` bytes were read,
 * `seen`. One that is kept and rests is a quiescent point. */
#define READS(fd, name, arguments, seen)                                                                     \
    ({                                                                                                       \
        struct connection *connection = descriptor_connection(fd);                                           \
        ssize_t size;                                                                                        \
        if (!connection) {                                                                                   \
            size = NEXT(name) arguments;                                                                     \
        } else {                                                                                             \
            if (PROCESS_UNLIKELY(connection->rests)) {                                                       \
                rest_begins();                                                                               \
                size = NEXT(name) arguments;                                                                 \
                rest_ends();                                                                                 \
            } else {                                                                                         \
                size = NEXT(name) arguments;                                                                 \
            }                                                                                                \
            if (size > 0)                                                                                    \
                seen;                                                                                        \
        }                                                                                                    \
        size;                                                                                                \
    })

/* WRITES(fd, name, arguments, seen): likewise, with what was written. */
#define WRITES(fd, name, arguments, seen)                                                                    \
    ({                                                                                                       \
        struct connection *connection = descriptor_connection(fd);                                           \
        ssize_t size;                                                                                        \
        if (!connection) {                                                                                   \
            size = NEXT(name) arguments;                                                                     \
        } else {                                                                                             \
            size = NEXT(name) arguments;                                                                     \
            if (size > 0)                                                                                    \
                seen;                                                                                        \
        }                                                                                                    \
        size;                                                                                                \
    })

static void check(bool fits)
{
    if (fits)
        return;
    if (__chk_fail)
        __chk_fail();
    abort();
}

/* ---- accepting ---- */

EXPORTED HOT int accept(int fd, struct sockaddr *address, socklen_t *length)
{
    return accept_sees(fd) ? accept_connection(fd, address, length, -1) : NEXT(accept)(fd, address, length);
}

EXPORTED HOT int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
    return accept_sees(fd) ? accept_connection(fd, address, length, flags)
                           : NEXT(accept4)(fd, address, length, flags);
}

/* ---- waiting ---- */

#ifndef __clang__
/* glibc declares the array of poll as written only, so the compiler believes it is empty. */
#    pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

EXPORTED HOT int poll(struct pollfd *fds, nfds_t count, int ms)
{
    if (!wait_sees_poll(fds, count))
        return NEXT(poll)(fds, count, ms);
    struct timespec timeout = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    return wait_poll(fds, count, ms < 0 ? NULL : &timeout, NULL);
}

EXPORTED int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
    return wait_sees_poll(fds, count) && wait_is_valid(timeout) ? wait_poll(fds, count, timeout, mask)
                                                                : NEXT(ppoll)(fds, count, timeout, mask);
}

EXPORTED int __poll_chk(struct pollfd *fds, nfds_t count, int ms, size_t room)
{
    check(room / sizeof *fds >= count);
    return poll(fds, count, ms);
}

EXPORTED int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                         const sigset_t *mask, size_t room)
{
    check(room / sizeof *fds >= count);
    return ppoll(fds, count, timeout, mask);
}

EXPORTED int pselect(int count, fd_set *readable, fd_set *writable, fd_set *exceptional,
                     const struct timespec *timeout, const sigset_t *mask)
{
    return wait_sees_select(count, readable) && wait_is_valid(timeout)
               ? wait_select(count, readable, writable, exceptional, timeout, mask)
               : NEXT(pselect)(count, readable, writable, exceptional, timeout, mask);
}

/* Linux tells in `timeout` what is left of it. */
static __attribute__((noinline)) int select_listener(int count, fd_set *readable, fd_set *writable,
                                                     fd_set *exceptional, struct timeval *timeout)
{
    if (timeout && (timeout->tv_sec < 0 || timeout->tv_usec < 0))
        return NEXT(select)(count, readable, writable, exceptional, timeout);
    if (!timeout || timeout->tv_sec > WAIT_SECONDS_MAX)
        return wait_select(count, readable, writable, exceptional, NULL, NULL);
    struct timespec given = {.tv_sec = timeout->tv_sec + timeout->tv_usec / 1000000,
                             .tv_nsec = timeout->tv_usec % 1000000 * 1000L};
    uint64_t until_ns = process_now() + (uint64_t)given.tv_sec * 1000000000U + (uint64_t)given.tv_nsec;
    int result = wait_select(count, readable, writable, exceptional, &given, NULL);
    uint64_t now = process_now(), left_us = until_ns > now ? (until_ns - now) / 1000 : 0;
    timeout->tv_sec = (time_t)(left_us / 1000000);
    timeout->tv_usec = (suseconds_t)(left_us % 1000000);
    return result;
}

EXPORTED HOT int select(int count, fd_set *readable, fd_set *writable, fd_set *exceptional,
                        struct timeval *timeout)
{
    return wait_sees_select(count, readable)
               ? select_listener(count, readable, writable, exceptional, timeout)
               : NEXT(select)(count, readable, writable, exceptional, timeout);
}

EXPORTED int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    return descriptor_is_listener(fd) ? wait_control(epoll, operation, fd, event)
                                      : NEXT(epoll_ctl)(epoll, operation, fd, event);
}

EXPORTED int epoll_pwait(int epoll, struct epoll_event *events, int size, int ms, const sigset_t *mask)
{
    if (!wait_sees_epoll(epoll))
        return NEXT(epoll_pwait)(epoll, events, size, ms, mask);
    struct timespec timeout = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    return wait_epoll(epoll, events, size, ms < 0 ? NULL : &timeout, mask);
}

EXPORTED int epoll_wait(int epoll, struct epoll_event *events, int size, int ms)
{
    return wait_sees_epoll(epoll) ? epoll_pwait(epoll, events, size, ms, NULL)
                                  : NEXT(epoll_wait)(epoll, events, size, ms);
}

/* ---- reading ---- */

EXPORTED HOT ssize_t read(int fd, void *bytes, size_t room)
{
    return READS(fd, read, (fd, bytes, room), connection_read(connection, bytes, (size_t)size));
}

EXPORTED ssize_t readv(int fd, const struct iovec *parts, int count)
{
    return READS(fd, readv, (fd, parts, count),
                 connection_read_vector(connection, parts, count, (size_t)size));
}

/* A look takes nothing off the stream; what is cut TCP throws away, and leaves the room as it was. */
static __attribute__((noinline)) void received_oddly(struct connection *connection, int flags)
{
    if (!(flags & MSG_PEEK))
        connection_missed(connection);
}

#define ODDLY (MSG_PEEK | MSG_TRUNC)

EXPORTED HOT ssize_t recv(int fd, void *bytes, size_t room, int flags)
{
    return READS(fd, recv, (fd, bytes, room, flags),
                 flags & ODDLY ? received_oddly(connection, flags)
                               : connection_read(connection, bytes, (size_t)size));
}

EXPORTED ssize_t recvfrom(int fd, void *bytes, size_t room, int flags, struct sockaddr *address,
                          socklen_t *length)
{
    return READS(fd, recvfrom, (fd, bytes, room, flags, address, length),
                 flags & ODDLY ? received_oddly(connection, flags)
                               : connection_read(connection, bytes, (size_t)size));
}

EXPORTED ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    return READS(fd, recvmsg, (fd, message, flags),
                 flags & ODDLY ? received_oddly(connection, flags)
                               : connection_read_vector(connection, message->msg_iov,
                                                        (int)message->msg_iovlen, (size_t)size));
}

EXPORTED ssize_t __read_chk(int fd, void *bytes, size_t size, size_t room)
{
    check(room >= size);
    return read(fd, bytes, size);
}

EXPORTED ssize_t __recv_chk(int fd, void *bytes, size_t size, size_t room, int flags)
{
    check(room >= size);
    return recv(fd, bytes, size, flags);
}

EXPORTED ssize_t __recvfrom_chk(int fd, void *bytes, size_t size, size_t room, int flags,
                                struct sockaddr *address, socklen_t *length)
{
    check(room >= size);
    return recvfrom(fd, bytes, size, flags, address, length);
}

/* ---- writing ---- */

EXPORTED HOT ssize_t write(int fd, const void *bytes, size_t length)
{
    return WRITES(fd, write, (fd, bytes, length), connection_wrote(connection, bytes, (size_t)size));
}

EXPORTED HOT ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return WRITES(fd, writev, (fd, parts, count),
                  connection_wrote_vector(connection, parts, count, (size_t)size));
}

EXPORTED HOT ssize_t send(int fd, const void *bytes, size_t length, int flags)
{
    return WRITES(fd, send, (fd, bytes, length, flags), connection_wrote(connection, bytes, (size_t)size));
}

EXPORTED ssize_t sendto(int fd, const void *bytes, size_t length, int flags, const struct sockaddr *address,
                        socklen_t address_length)
{
    return WRITES(fd, sendto, (fd, bytes, length, flags, address, address_length),
                  connection_wrote(connection, bytes, (size_t)size));
}

EXPORTED ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    return WRITES(
        fd, sendmsg, (fd, message, flags),
        connection_wrote_vector(connection, message->msg_iov, (int)message->msg_iovlen, (size_t)size));
}

/* ---- ends ---- */

EXPORTED HOT int shutdown(int fd, int how)
{
    struct connection *connection = descriptor_connection(fd);
    if (connection && how != SHUT_RD)
        connection_finishes(connection);
    return NEXT(shutdown)(fd, how);
}

/* The entry goes first: once closed, the number may be another thread's. */
static HOT __attribute__((noinline)) int close_seen(int fd)
{
    descriptor_closed(fd);
    wait_closed(fd);
    return NEXT(close)(fd);
}

EXPORTED HOT int close(int fd)
{
    return descriptor_at(fd) || wait_sees_epoll(fd) ? close_seen(fd) : NEXT(close)(fd);
}

EXPORTED FILE *fdopen(int fd, const char *mode)
{
    struct connection *connection = descriptor_connection(fd);
    if (connection)
        connection_unseen(connection);
    return NEXT(fdopen)(fd, mode);
}

/* What the stream still holds is part of the answer. */
EXPORTED int fclose(FILE *file)
{
    int fd = process.page ? fileno(file) : -1;
    if (descriptor_at(fd)) {
        (void)fflush(file);
        descriptor_closed(fd);
    }
    return NEXT(fclose)(file);
}

/* ---- copies ---- */

EXPORTED int dup(int fd)
{
    return descriptor_copied(fd, NEXT(dup)(fd));
}

EXPORTED int dup2(int fd, int copy)
{
    return descriptor_copied(fd, NEXT(dup2)(fd, copy));
}

EXPORTED int dup3(int fd, int copy, int flags)
{
    return descriptor_copied(fd, NEXT(dup3)(fd, copy, flags));
}

/* An argument is at most a word: what was not given is not looked at. */
EXPORTED int fcntl(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    int result = NEXT(fcntl)(fd, command, argument);
    if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
        return descriptor_copied(fd, result);
    if (command == F_SETFL && result == 0 && descriptor_is_listener(fd))
        process.nonblocking = ((intptr_t)argument & O_NONBLOCK) != 0;
    /* Somebody else of the pool has set it; a program that found it set would not ask for it itself. */
    if (command == F_GETFL && result >= 0 && !process.nonblocking && descriptor_is_listener(fd))
        result &= ~O_NONBLOCK;
    return result;
}

EXPORTED int fcntl64(int fd, int command, ...) __attribute__((alias("fcntl")));

EXPORTED int ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    int result = NEXT(ioctl)(fd, request, argument);
    if ((unsigned)request == FIONBIO && result == 0 && descriptor_is_listener(fd))
        process.nonblocking = *(const int *)argument != 0;
    return result;
}

/* ---- masks ---- */

EXPORTED int sigprocmask(int how, const sigset_t *mask, sigset_t *former)
{
    sigset_t changed;
    return NEXT(sigprocmask)(how, process_own_mask(how, mask, &changed), former);
}

/* The same in Linux. Not every libc has a function of this name for programs without threads. */
EXPORTED int pthread_sigmask(int how, const sigset_t *mask, sigset_t *former)
{
    int error = errno;
    int result = sigprocmask(how, mask, former) < 0 ? errno : 0;
    errno = error;
    return result;
}

/* ---- programs that are started ---- */

/* None of them may find the drain's signal held: those in Go need it. */
#define STARTS(call)                                                                                         \
    ({                                                                                                       \
        bool held = process_free_signal();                                                                   \
        __typeof__(call) result = (call);                                                                    \
        if (held)                                                                                            \
            process_hold_signal();                                                                           \
        result;                                                                                              \
    })

EXPORTED int execv(const char *path, char *const *arguments)
{
    return STARTS(NEXT(execv)(path, arguments));
}

EXPORTED int execve(const char *path, char *const *arguments, char *const *environment)
{
    return STARTS(NEXT(execve)(path, arguments, environment));
}

EXPORTED int execvp(const char *file, char *const *arguments)
{
    return STARTS(NEXT(execvp)(file, arguments));
}

EXPORTED int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                         const posix_spawnattr_t *attributes, char *const *arguments,
                         char *const *environment)
{
    return STARTS(NEXT(posix_spawn)(pid, path, actions, attributes, arguments, environment));
}

EXPORTED int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                          const posix_spawnattr_t *attributes, char *const *arguments,
                          char *const *environment)
{
    return STARTS(NEXT(posix_spawnp)(pid, file, actions, attributes, arguments, environment));
}

EXPORTED FILE *popen(const char *command, const char *mode)
{
    return STARTS(NEXT(popen)(command, mode));
}

EXPORTED int system(const char *command)
{
    return STARTS(NEXT(system)(command));
}

/* ---- fork ---- */

/* The child of a vfork shares our memory: what it closes before its exec would be closed here. */
EXPORTED pid_t vfork(void)
{
    return NEXT(fork)();
}
