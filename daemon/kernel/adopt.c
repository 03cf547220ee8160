/* Descriptors of other processes, by pidfd_getfd; see adopt.h. */
#include "daemon/kernel/adopt.h"

#include "daemon/base/fd.h"
#include "daemon/kernel/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- out of another process --- */

int adopt_descriptor(pid_t pid, pid_t group, int fd)
{
    __attribute__((cleanup(fd_close))) int process = pidfd_open(pid, 0);
    if (process < 0)
        return -errno;
    if (group != 0 && getpgid(pid) != group)
        return -ESRCH;
    /* That this succeeds says that the process lives, so the pid was its own all the while. */
    int got = pidfd_getfd(process, fd, 0);
    return got < 0 ? -errno : got;
}

static bool listens(int fd, uint64_t cookie)
{
    int listening = 0;
    uint64_t found = 0;
    socklen_t size = sizeof listening, found_size = sizeof found;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening &&
           getsockopt(fd, SOL_SOCKET, SO_COOKIE, &found, &found_size) == 0 && found == cookie;
}

int adopt_listener(pid_t pid, int fd, uint64_t cookie)
{
    int got = adopt_descriptor(pid, 0, fd);
    if (got >= 0 && !listens(got, cookie)) {
        (void)close(got);
        return -ENOENT;
    }
    return got;
}

int adopt_listener_of_ours(pid_t pid, int fd, uint64_t *ret_cookie)
{
    struct ucred maker = {.uid = (uid_t)-1};
    uint64_t cookie = 0;
    socklen_t maker_size = sizeof maker, cookie_size = sizeof cookie;
    int got = adopt_descriptor(pid, 0, fd);
    if (got < 0)
        return got;
    if (getsockopt(got, SOL_SOCKET, SO_COOKIE, &cookie, &cookie_size) != 0 || !listens(got, cookie) ||
        getsockopt(got, SOL_SOCKET, SO_PEERCRED, &maker, &maker_size) != 0 || maker.uid != geteuid() ||
        maker.pid <= 0 /* not in our namespace: it may live */ || !proc_ended(maker.pid)) {
        (void)close(got);
        return -ENOENT;
    }
    *ret_cookie = cookie;
    return got;
}

int adopt_pipe(pid_t pid, uint64_t start, int fd)
{
    char path[40];
    struct stat found;
    uint64_t started;
    __attribute__((cleanup(fd_close))) int got = adopt_descriptor(pid, 0, fd);
    if (got < 0)
        return got;
    int flags = fcntl(got, F_GETFL);
    if (fstat(got, &found) != 0 || !S_ISFIFO(found.st_mode) || flags < 0 || (flags & O_ACCMODE) != O_RDWR ||
        proc_start(pid, &started) != 0 || started != start)
        return -ENOENT;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", got);
    int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (reader < 0)
        return -errno;
    return reader;
}

/* --- does it fit? --- */

static bool same_tcp(const struct sockaddr_storage *found, const struct address *wanted, int fd)
{
    const struct sockaddr_in *in = (const void *)found, *wanted_in = (const void *)&wanted->storage;
    const struct sockaddr_in6 *in6 = (const void *)found, *wanted_in6 = (const void *)&wanted->storage;
    if (in->sin_family == AF_INET)
        return in->sin_addr.s_addr == wanted_in->sin_addr.s_addr &&
               (wanted_in->sin_port == 0 || in->sin_port == wanted_in->sin_port);
    int only = 0;
    socklen_t size = sizeof only;
    return getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &size) == 0 && only == !wanted->dual_stack &&
           memcmp(&in6->sin6_addr, &wanted_in6->sin6_addr, sizeof in6->sin6_addr) == 0 &&
           (wanted_in6->sin6_port == 0 || in6->sin6_port == wanted_in6->sin6_port);
}

bool adopt_fits(int fd, const struct address *wanted)
{
    struct address found = {.length = sizeof found.storage};
    size_t length, wanted_length;
    if (getsockname(fd, (struct sockaddr *)&found.storage, &found.length) != 0 ||
        found.storage.ss_family != wanted->storage.ss_family)
        return false;
    if (wanted->storage.ss_family != AF_UNIX)
        return same_tcp(&found.storage, wanted, fd);
    const char *name = address_unix_name(&found, &length);
    const char *wanted_name = address_unix_name(wanted, &wanted_length);
    return length == wanted_length && memcmp(name, wanted_name, length) == 0;
}

/* Whether the path still leads to the socket that was bound there, and that is as it is asked for. */
static bool same_file(const struct listener *former, const struct listener_options *options)
{
    const char *path = address_path(&options->address);
    uid_t owner = options->owner == (uid_t)-1 ? geteuid() : options->owner;
    struct stat found;
    return path == NULL || (former->path_inode != 0 && lstat(path, &found) == 0 && S_ISSOCK(found.st_mode) &&
                            found.st_dev == former->path_device && found.st_ino == former->path_inode &&
                            (found.st_mode & 07777) == options->mode && found.st_uid == owner &&
                            (options->group == (gid_t)-1 || found.st_gid == options->group));
}

/* Makes a socket that refused take connections again, or leaves that to a filter that replaces the refusing
 * one. False: that cannot be undone (unix). */
static bool takes_again(int fd, int family, bool filtered)
{
    struct pollfd shut = {.fd = fd, .events = POLLRDHUP};
    int unused = 0;
    if (family == AF_UNIX)
        return poll(&shut, 1, 0) == 0;
    return filtered || setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused) == 0 ||
           errno == ENOENT;
}

bool adopt_duplicate(const struct listener_options *options, struct listener *listener)
{
    const struct listener *former = options->former;
    if (former == NULL || former->fd < 0 || former->foreign || !adopt_fits(former->fd, &options->address) ||
        !same_file(former, options) ||
        !takes_again(former->fd, options->address.storage.ss_family, options->client_count > 0))
        return false;
    int fd = fcntl(former->fd, F_DUPFD_CLOEXEC, 0);
    int flags = fd < 0 ? -1 : fcntl(fd, F_GETFL);
    if (flags < 0) {
        fd_close(&fd);
        return false;
    }
    (void)fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
    listener->fd = fd;
    if (address_path(&options->address) != NULL) {
        listener->path_device = former->path_device;
        listener->path_inode = former->path_inode;
    }
    return true;
}
