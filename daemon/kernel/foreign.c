/* Listening sockets of others; see foreign.h. */
#include "daemon/kernel/foreign.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The value of an option of SOL_SOCKET; -1: it has none. */
static int option(int fd, int name)
{
    int value;
    socklen_t size = sizeof value;
    return getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
}

static bool is_supported(int fd)
{
    int domain = option(fd, SO_DOMAIN);
    return option(fd, SO_TYPE) == SOCK_STREAM &&
           (domain == AF_UNIX ||
            ((domain == AF_INET || domain == AF_INET6) && option(fd, SO_PROTOCOL) == IPPROTO_TCP));
}

static int check(int fd, struct problem *problem)
{
    if (fcntl(fd, F_GETFD) < 0)
        return problem_set(problem, -EBADF, "descriptor %d is not open", fd);
    if (option(fd, SO_TYPE) < 0)
        return problem_set(problem, -ENOTSOCK, "descriptor %d is not a socket", fd);
    if (!is_supported(fd))
        return problem_set(problem, -EPROTOTYPE,
                           "descriptor %d is neither a unix stream socket nor a TCP one", fd);
    if (option(fd, SO_ACCEPTCONN) != 1)
        return problem_set(problem, -EINVAL,
                           "descriptor %d is a socket that does not listen (a connection? a socket unit "
                           "needs Accept=no)",
                           fd);
    return 0;
}

static bool is_dual_stack(int fd, const struct address *address)
{
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address->storage;
    int only;
    socklen_t size = sizeof only;
    return in6->sin6_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr) &&
           getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &size) == 0 && only == 0;
}

/* False when the kernel does not tell. */
static bool learn(struct listener *listener)
{
    int fd = listener->fd;
    struct address *address = &listener->address;
    struct stat identity;
    socklen_t cookie_size = sizeof listener->cookie;
    uint32_t queued, limit;
    address->length = sizeof address->storage;
    if (fstat(fd, &identity) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_COOKIE, &listener->cookie, &cookie_size) != 0 ||
        getsockname(fd, (struct sockaddr *)&address->storage, &address->length) != 0)
        return false;
    listener->inode = identity.st_ino;
    address->dual_stack = is_dual_stack(fd, address);
    if (listener_queue(listener, &queued, &limit) == 0 && limit <= INT_MAX)
        listener->backlog = (int)limit;
    return true;
}

int foreign_listener(int fd, struct listener *ret_listener, struct problem *problem)
{
    struct listener listener = LISTENER_INIT;
    int error = check(fd, problem);
    if (error != 0)
        return error;
    listener.fd = fd > STDERR_FILENO ? fd : fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    listener.foreign = true;
    int flags = fcntl(listener.fd, F_GETFL);
    if (flags < 0 || !learn(&listener) || fcntl(listener.fd, F_SETFL, flags & ~O_NONBLOCK) != 0 ||
        fcntl(listener.fd, F_SETFD, FD_CLOEXEC) != 0)
        return problem_set(problem, -errno, "descriptor %d: %s", fd, strerror(errno));
    *ret_listener = listener;
    return 0;
}
