/*
 * Listening sockets: the pool's, and (its unix half) the control socket.
 * The socket is blocking and stays so: O_NONBLOCK on the description that workers share makes libfcgi leave.
 */
#ifndef FCGIPOOL_DAEMON_KERNEL_LISTENER_H
#define FCGIPOOL_DAEMON_KERNEL_LISTENER_H

#include "daemon/base/problem.h"
#include "daemon/kernel/address.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

struct listener_options {
    struct address address;
    int backlog;
    mode_t mode; /* of a unix path; the others likewise */
    uid_t owner; /* (uid_t)-1: as it comes */
    gid_t group; /* (gid_t)-1: as it comes */
};

struct listener {
    int fd;
    struct address address; /* as bound: port 0 is filled in */
    uint64_t inode;         /* of the socket, as in /proc/PID/fd */
    uint64_t cookie;        /* of the socket, for sock_diag */
    int lock_fd;            /* unix path: holds PATH.lock while we live; else -1 */
    dev_t path_device;      /* unix path: identity of the file that we made */
    ino_t path_inode;       /* 0: we made none, or took it away */
};

#define LISTENER_INIT                                                                                        \
    {                                                                                                        \
        .fd = -1, .lock_fd = -1                                                                              \
    }

/* Binds and listens. A unix path is guarded by a lock file PATH.lock: a stale socket is replaced, a live
 * master's (lock held) refused, as is anything at PATH that is not a socket, and a socket of another program
 * that answers. A TCP address that anybody listens on is refused, though the socket carries SO_REUSEPORT
 * afterwards, for rebinding. "*" is [::] with IPv4, or 0.0.0.0 where the kernel has no IPv6. Returns 0,
 * -EADDRINUSE, -EEXIST (not a socket) or another -errno, with the reason in `problem`; nothing is left behind
 * on failure. */
__attribute__((warn_unused_result)) int listener_open(const struct listener_options *options,
                                                      struct listener *ret_listener, struct problem *problem);

/* New connections are refused from now on, while queued ones stay to be accepted by the workers.
 * unix: the path goes, then shutdown(SHUT_RD). TCP: a classic BPF filter drops bare SYNs. */
void listener_refuse(struct listener *listener);

/* Connections that wait to be accepted, and the limit. Returns 0 or -errno (-ENOENT: unix, and the kernel has
 * no UNIX_DIAG). */
__attribute__((warn_unused_result)) int listener_queue(const struct listener *listener, uint32_t *ret_queued,
                                                       uint32_t *ret_limit);

/* True when nothing waits to be accepted, nor is about to: no handshake is under way. True also when the
 * kernel does not answer: a stop must not hang on it. */
bool listener_is_empty(const struct listener *listener);

/* Closes, and takes away the path (if it is still ours) and the lock. Accepts a listener that was never
 * opened. */
void listener_close(struct listener *listener);

#endif
