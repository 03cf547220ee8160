/* Listening sockets; see listener.h. */
#include "daemon/kernel/listener.h"

#include "daemon/base/clock.h"
#include "daemon/base/fd.h"
#include "daemon/kernel/adopt.h"
#include "daemon/kernel/diag.h"
#include "daemon/kernel/entry.h"
#include "daemon/kernel/path_lock.h"
#include "pool/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- what is at the path --- */

/* Whether nobody listens on the socket at an address any more. */
static bool is_stale(const struct address *address)
{
    __attribute__((cleanup(fd_close))) int fd =
        socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd >= 0 && connect(fd, (const struct sockaddr *)&address->storage, address->length) != 0 &&
           (errno == ECONNREFUSED || errno == ENOENT);
}

/* Takes away what a former master left at the path, and nothing else. */
static int clear_path(const struct address *address, bool fresh_lock, struct problem *problem)
{
    const char *path = address_path(address);
    struct stat found;
    if (lstat(path, &found) != 0)
        return errno == ENOENT ? 0
                               : problem_set(problem, -errno, "cannot look at %s: %s", path, strerror(errno));
    if (!S_ISSOCK(found.st_mode))
        return problem_set(problem, -EEXIST,
                           "%s exists and is not a socket; move it away or choose another path", path);
    if (fresh_lock && !is_stale(address))
        return problem_set(problem, -EADDRINUSE,
                           "unix:%s is in use by another program; stop it or choose another path", path);
    if (unlink(path) != 0 && errno != ENOENT)
        return problem_set(problem, -errno, "cannot remove the stale socket %s: %s", path, strerror(errno));
    return 0;
}

void listener_hide(struct listener *listener)
{
    const char *path = address_path(&listener->address);
    struct stat found;
    if (listener->path_inode != 0 && lstat(path, &found) == 0 && S_ISSOCK(found.st_mode) &&
        found.st_dev == listener->path_device && found.st_ino == listener->path_inode)
        (void)unlink(path);
    listener->path_inode = 0;
}

/* --- opening --- */

static int bind_problem(const struct address *address, int error, struct problem *problem)
{
    char text[ADDRESS_TEXT_SIZE];
    const char *hint = "";
    address_format(address, text, sizeof text);
    if (error == EADDRINUSE)
        return problem_set(problem, -error,
                           "%s is in use by another master or program; stop it or choose another address",
                           text);
    if (error == EADDRNOTAVAIL)
        hint = "; no network interface has this address";
    else if (error == EACCES && address->storage.ss_family != AF_UNIX)
        hint = "; ports below 1024 need root or CAP_NET_BIND_SERVICE";
    else if (error == ENOENT)
        hint = "; its directory does not exist";
    return problem_set(problem, -error, "cannot listen on %s: %s%s", text, strerror(error), hint);
}

static int bind_to(struct listener *listener, struct problem *problem)
{
    const struct address *address = &listener->address;
    if (bind(listener->fd, (const struct sockaddr *)&address->storage, address->length) != 0)
        return bind_problem(address, errno, problem);
    return 0;
}

/* Binds a path with owner and mode as asked for. The mode is that of the socket: the path could be somebody's
 * link by the time that a chmod gets there. Before listen() nobody can connect. */
static int bind_path(const struct listener_options *options, struct listener *listener,
                     struct problem *problem)
{
    const char *path = address_path(&listener->address);
    if (fchmod(listener->fd, options->mode) != 0)
        return problem_set(problem, -errno, "cannot set the mode of %s: %s", path, strerror(errno));
    mode_t mask = umask(0);
    int error = bind_to(listener, problem);
    (void)umask(mask);
    if (error != 0)
        return error;

    struct stat made;
    if (lstat(path, &made) != 0)
        return problem_set(problem, -errno, "cannot look at %s: %s", path, strerror(errno));
    listener->path_device = made.st_dev;
    listener->path_inode = made.st_ino;
    if ((options->owner != (uid_t)-1 || options->group != (gid_t)-1) &&
        lchown(path, options->owner, options->group) != 0)
        return problem_set(problem, -errno, "cannot give %s to its owner and group: %s", path,
                           strerror(errno));
    return 0;
}

static int open_unix(const struct listener_options *options, struct listener *listener, bool *ret_fresh_lock,
                     struct problem *problem)
{
    const char *path = address_path(&listener->address);
    if (path != NULL) {
        int lock_fd = path_lock_take(path, ret_fresh_lock, problem);
        if (lock_fd < 0)
            return lock_fd;
        listener->lock_fd = lock_fd;
        if (adopt_duplicate(options, listener))
            return 0;
        int error = clear_path(&listener->address, *ret_fresh_lock, problem);
        if (error != 0)
            return error;
    }
    if (path == NULL && adopt_duplicate(options, listener))
        return 0;
    listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener->fd < 0)
        return problem_set(problem, -errno, "cannot make a socket: %s", strerror(errno));
    return path != NULL ? bind_path(options, listener, problem) : bind_to(listener, problem);
}

void listener_settle(struct address *address)
{
    __attribute__((cleanup(fd_close))) int fd =
        address->dual_stack ? socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
    if (!address->dual_stack || fd >= 0 || errno != EAFNOSUPPORT)
        return;
    in_port_t port = ((const struct sockaddr_in6 *)&address->storage)->sin6_port;
    *address = (struct address){.length = sizeof(struct sockaddr_in)};
    struct sockaddr_in *in = (struct sockaddr_in *)&address->storage;
    in->sin_family = AF_INET;
    in->sin_port = port;
}

static int open_tcp(const struct listener_options *options, struct listener *listener,
                    struct problem *problem)
{
    struct address *address = &listener->address;
    if (adopt_duplicate(options, listener))
        return entry_set(options, listener, problem);
    listener->fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener->fd < 0)
        return bind_problem(address, errno, problem);
    int on = 1, only = !address->dual_stack;
    if (setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        (address->storage.ss_family == AF_INET6 &&
         setsockopt(listener->fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only) != 0) ||
        (options->beside > 0 && setsockopt(listener->fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0))
        return bind_problem(address, errno, problem);
    int error = entry_set(options, listener, problem);
    return error != 0 ? error : bind_to(listener, problem);
}

/* Has the kernel give every new connection to us: of the sockets at the address, the one that came last is
 * the one with index `beside`. When it has the address alone, any index leads to it. */
static void prefer(const struct listener *listener, unsigned beside)
{
    struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, beside)};
    struct sock_fprog program = {.len = 1, .filter = code};
    (void)setsockopt(listener->fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program);
}

/* Learns what the socket is. */
static int identify(struct listener *listener, struct problem *problem)
{
    struct stat identity;
    struct address *address = &listener->address;
    bool tcp = address->storage.ss_family != AF_UNIX;
    socklen_t address_size = sizeof address->storage, cookie_size = sizeof listener->cookie;
    if (fstat(listener->fd, &identity) != 0 ||
        getsockopt(listener->fd, SOL_SOCKET, SO_COOKIE, &listener->cookie, &cookie_size) != 0 ||
        (tcp && getsockname(listener->fd, (struct sockaddr *)&address->storage, &address_size) != 0))
        return bind_problem(address, errno, problem);
    listener->inode = identity.st_ino;
    return 0;
}

static int start(const struct listener_options *options, struct listener *listener, struct problem *problem)
{
    struct address *address = &listener->address;
    bool tcp = address->storage.ss_family != AF_UNIX;
    int on = 1;
    if (listen(listener->fd, options->backlog) != 0)
        return bind_problem(address, errno, problem);
    if (tcp && options->beside > 0)
        prefer(listener, options->beside);
    /* Only now: with SO_REUSEPORT from the start, two masters would share an address and not know it. */
    if (tcp && setsockopt(listener->fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0)
        return bind_problem(address, errno, problem);
    return identify(listener, problem);
}

int listener_open(const struct listener_options *options, struct listener *ret_listener,
                  struct problem *problem)
{
    struct listener_options settled = *options;
    struct listener listener = LISTENER_INIT;
    bool fresh_lock = true;
    listener_settle(&settled.address);
    listener.address = settled.address;
    int error = settled.address.storage.ss_family == AF_UNIX
                    ? open_unix(&settled, &listener, &fresh_lock, problem)
                    : open_tcp(&settled, &listener, problem);
    if (error == 0)
        error = start(options, &listener, problem);
    if (error == 0) {
        listener.lock_was_left = !fresh_lock;
        *ret_listener = listener;
        return 0;
    }
    /* A lock file that was there before us tells the next master that what is at the path is ours. */
    if (!fresh_lock && listener.lock_fd >= 0) {
        (void)close(listener.lock_fd);
        listener.lock_fd = -1;
    }
    /* What was taken over stays to those who serve there. */
    if (options->former != NULL && options->former->fd >= 0 &&
        listener.path_inode == options->former->path_inode)
        listener.path_inode = 0;
    listener_close(&listener);
    return error;
}

int listener_inherit(const struct address *address, struct listener *listener, struct problem *problem)
{
    listener->address = *address;
    listener_settle(&listener->address);
    return adopt_fits(listener->fd, &listener->address) ? identify(listener, problem) : 1;
}

/* --- afterwards --- */

/* By way of a descriptor: the path could be somebody's link by the time that a chmod gets there. */
static int adjust_file(int fd, const struct listener *listener, const struct listener_options *options,
                       struct problem *problem)
{
    const char *path = address_path(&listener->address);
    char link[sizeof "/proc/self/fd/" + 10];
    struct stat found;
    if (fd < 0 || fstat(fd, &found) != 0 || found.st_dev != listener->path_device ||
        found.st_ino != listener->path_inode)
        return problem_set(problem, -ENOENT, "%s is not the socket of this pool any more", path);
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if ((options->owner != (uid_t)-1 || options->group != (gid_t)-1) &&
        fchownat(fd, "", options->owner, options->group, AT_EMPTY_PATH) != 0)
        return problem_set(problem, -errno, "cannot give %s to its owner and group: %s", path,
                           strerror(errno));
    if (chmod(link, options->mode) != 0)
        return problem_set(problem, -errno, "cannot set the mode of %s: %s", path, strerror(errno));
    return 0;
}

static int adjust_path(const struct listener *listener, const struct listener_options *options,
                       struct problem *problem)
{
    const char *path = address_path(&listener->address);
    if (path == NULL || listener->foreign)
        return 0;
    int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    int error = adjust_file(fd, listener, options, problem);
    fd_close(&fd);
    return error;
}

int listener_adjust(const struct listener_options *options, struct listener *listener,
                    struct problem *problem)
{
    bool tcp = listener->address.storage.ss_family != AF_UNIX;
    int error = tcp ? entry_set(options, listener, problem) : adjust_path(listener, options, problem);
    bool kept = listener->foreign && options->backlog == 0;
    if (error == 0 && !kept && listen(listener->fd, options->backlog) != 0)
        error = bind_problem(&listener->address, errno, problem);
    return error;
}

void listener_alone(struct listener *listener)
{
    int unused = 0;
    (void)setsockopt(listener->fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &unused, sizeof unused);
}

int listener_refuse(struct listener *listener)
{
    ASSERT(listener->fd >= 0);
    if (listener->foreign)
        return 0;
    listener->refused_ms = clock_now_ms();
    if (listener->address.storage.ss_family == AF_UNIX) {
        listener_hide(listener);
        return shutdown(listener->fd, SHUT_RD) != 0 ? -errno : 0;
    }
    return entry_close(listener);
}

void listener_end(const struct listener *listener)
{
    if (listener->address.storage.ss_family != AF_UNIX)
        (void)shutdown(listener->fd, SHUT_RD);
}

void listener_unlock(struct listener *listener)
{
    if (listener->lock_fd >= 0)
        path_lock_release(address_path(&listener->address), listener->lock_fd);
    listener->lock_fd = -1;
}

int listener_queue(const struct listener *listener, uint32_t *ret_queued, uint32_t *ret_limit)
{
    if (listener->address.storage.ss_family == AF_UNIX)
        return diag_unix_queue(listener->inode, listener->cookie, ret_queued, ret_limit);
    if (listener->fd < 0)
        return diag_tcp_queue(&listener->address, listener->inode, listener->cookie, ret_queued, ret_limit);
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    if (getsockopt(listener->fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
        return -errno;
    *ret_queued = info.tcpi_unacked;
    *ret_limit = info.tcpi_sacked;
    return 0;
}

uint32_t listener_queued(const struct listener *listener)
{
    struct pollfd waiting = {.fd = listener->fd, .events = POLLIN};
    uint32_t queued = 0, limit;
    if (listener->fd >= 0 && poll(&waiting, 1, 0) == 0)
        return 0;
    return listener_queue(listener, &queued, &limit) == 0 ? queued : 0;
}

bool listener_exists(const struct listener *listener)
{
    uint32_t queued, limit;
    return listener->fd >= 0 || (listener->cookie && listener_queue(listener, &queued, &limit) == 0);
}

bool listener_is_empty(const struct listener *listener)
{
    uint32_t handshakes = 0;
    bool late = listener->refused_ms != 0 && clock_now_ms() - listener->refused_ms >= LISTENER_HANDSHAKE_MS;
    if (listener->address.storage.ss_family != AF_UNIX && !late &&
        diag_handshakes(&listener->address, &handshakes) == 0 && handshakes > 0)
        return false;
    return listener_queued(listener) == 0;
}

void listener_leave(struct listener *listener)
{
    fd_close(&listener->fd);
    fd_close(&listener->lock_fd);
    free(listener->clients);
    *listener = (struct listener)LISTENER_INIT;
}

void listener_close(struct listener *listener)
{
    if (listener->fd >= 0) {
        listener_hide(listener);
        (void)close(listener->fd);
    }
    listener_unlock(listener);
    free(listener->clients);
    *listener = (struct listener)LISTENER_INIT;
}
