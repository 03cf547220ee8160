/*
 * Listening sockets: the pool's, and (its unix half) the control socket.
 * The socket is blocking and stays so: O_NONBLOCK on the description that workers share makes libfcgi leave.
 */
#ifndef FCGIPOOL_DAEMON_KERNEL_LISTENER_H
#define FCGIPOOL_DAEMON_KERNEL_LISTENER_H

#include "daemon/base/problem.h"
#include "daemon/kernel/address.h"
#include "daemon/kernel/cidr.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

/* The clients of a handshake that is still under way so long after the last connection was let in have lost
 * two packets in a row, or (with `defer`) are silent and may stay so. A client with a request sends it as
 * soon as its side of the handshake is done; when a packet is lost, it comes again within a second. */
#define LISTENER_HANDSHAKE_MS 1200

struct listener_options {
    struct address address;
    int backlog;                /* of a foreign socket 0: as it is */
    mode_t mode;                /* of a unix path; the others likewise */
    uid_t owner;                /* (uid_t)-1: as it comes */
    gid_t group;                /* (gid_t)-1: as it comes */
    bool defer;                 /* TCP: a connection is queued only when its client has sent something */
    const struct cidr *clients; /* TCP: who may connect */
    size_t client_count;        /* 0: everybody */
    unsigned beside; /* TCP: so many sockets of former masters, which could not be taken over, stay there */
    const struct listener *former; /* what a former master left, to be taken over if it fits; NULL: nothing */
};

struct listener {
    int fd;
    struct address address; /* as bound: port 0 is filled in */
    uint64_t inode;         /* of the socket, as in /proc/PID/fd */
    uint64_t cookie;        /* of the socket, for sock_diag */
    int lock_fd;            /* unix path: holds PATH.lock while we live; else -1 */
    bool lock_was_left;     /* unix path: PATH.lock was there, so a former master of ours has died */
    dev_t path_device;      /* unix path: identity of the file that we made */
    ino_t path_inode;       /* 0: we made none, or took it away */
    struct cidr *clients;   /* who may connect; owned, NULL: everybody */
    size_t client_count;
    int64_t refused_ms; /* when listener_refuse was called; 0: not yet */
    bool foreign;       /* somebody else made it and keeps it: see foreign.h */
    int backlog;        /* foreign: as it came; 0: not known */
};

#define LISTENER_INIT                                                                                        \
    {                                                                                                        \
        .fd = -1, .lock_fd = -1                                                                              \
    }

/* What "*" is here: [::] with IPv4, or 0.0.0.0 where the kernel has no IPv6. Other addresses stay as they
 * are.
 */
void listener_settle(struct address *address);

/* Binds and listens, or takes over the former master's socket with all that waits in it: a duplicate of its
 * descriptor, if address, mode and owner are those asked for (then the cookies are equal). A unix path is
 * guarded by a lock file PATH.lock: a stale socket is replaced, a live master's (lock held) refused, as is
 * anything at PATH that is not a socket, and a socket of another program that answers. A TCP address that
 * anybody listens on is refused, though the socket carries SO_REUSEPORT afterwards, for rebinding. The
 * address is settled first. Returns 0, -EADDRINUSE, -EEXIST (not a socket) or
 * another -errno, with the reason in `problem`; nothing is left behind on failure. */
__attribute__((warn_unused_result)) int listener_open(const struct listener_options *options,
                                                      struct listener *ret_listener, struct problem *problem);

/* The same with a socket that another master has made and serves from: `listener` has its descriptors, and of
 * a path the identity. Nothing of it is changed. Returns 0, 1 when it is not at `address` (port 0 is any), or
 * -errno with the reason. */
__attribute__((warn_unused_result)) int listener_inherit(const struct address *address,
                                                         struct listener *listener, struct problem *problem);

/* Backlog, mode and owner (not of a foreign one), `defer` and `clients` of the options, from now on; the rest
 * of the options does not matter. Returns 0, or -errno with the reason, and part of them may be in effect. */
__attribute__((warn_unused_result)) int listener_adjust(const struct listener_options *options,
                                                        struct listener *listener, struct problem *problem);

/* Nobody else listens at the TCP address any more: ends the preference over those of `beside`. */
void listener_alone(struct listener *listener);

/* Takes away the path, if it still leads to this socket. */
void listener_hide(struct listener *listener);

/* Whether the socket is still there, ours or not: its inode may be another one's by now, its cookie may not.
 * False also when the kernel does not answer. */
bool listener_exists(const struct listener *listener);

/* New connections are refused from now on, while queued ones stay to be accepted by the workers. A
 * foreign socket is left as it is.
 * unix: the path goes, then shutdown(SHUT_RD). TCP: a classic BPF filter drops bare SYNs. Returns 0, or
 * -errno when the kernel does not let us (-EPERM: some take filters from CAP_NET_ADMIN only). */
int listener_refuse(struct listener *listener);

/* After that, when nothing waits any more, nor is anybody to be served who does: whoever comes is turned away
 * at once (TCP; to a unix one nobody does), and the address is free, whatever workers still have the socket.
 */
void listener_end(const struct listener *listener);

/* Gives back the lock of the path, where another listener may come now. */
void listener_unlock(struct listener *listener);

/* Connections that wait to be accepted, and the limit; without a descriptor (fd -1) as sock_diag knows them.
 * Returns 0 or -errno (-ENOENT: unix, and the kernel has
 * no UNIX_DIAG). */
__attribute__((warn_unused_result)) int listener_queue(const struct listener *listener, uint32_t *ret_queued,
                                                       uint32_t *ret_limit);

/* Connections that wait; 0 also when the kernel does not tell. While none does this costs the same however
 * many sockets the machine has. */
uint32_t listener_queued(const struct listener *listener);

/* True when nothing waits to be accepted, nor is about to: no handshake is under way. Once
 * LISTENER_HANDSHAKE_MS have passed since listener_refuse, handshakes do not count any more. True also when
 * the kernel does not answer: a stop must not hang on it. */
bool listener_is_empty(const struct listener *listener);

/* Closes, and leaves path and lock file to those who still serve there. */
void listener_leave(struct listener *listener);

/* Closes, and takes away the path (if it is still ours) and the lock. Accepts a listener that was never
 * opened. */
void listener_close(struct listener *listener);

#endif
