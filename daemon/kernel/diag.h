/*
 * The kernel's view of sockets, by netlink sock_diag: the queue of a unix listener, and which sockets are
 * connections that were accepted from an address.
 * The kernel answers inside our own system calls, so nothing here waits. Every function returns 0 or -errno;
 * -ENOENT means that the kernel has no UNIX_DIAG or INET_DIAG (or, asked for one socket, no such socket).
 */
#ifndef FCGIPOOL_DAEMON_KERNEL_DIAG_H
#define FCGIPOOL_DAEMON_KERNEL_DIAG_H

#include "daemon/kernel/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Inodes of sockets, as in /proc/PID/fd; sorted. Storage is kept from one fill to the next. */
struct diag_set {
    uint64_t *inodes; /* owned */
    size_t count;
    size_t capacity;
};

#define DIAG_SET_INIT                                                                                        \
    {                                                                                                        \
        0                                                                                                    \
    }

/* Accepts an empty set. */
void diag_set_fini(struct diag_set *set);

bool diag_set_has(const struct diag_set *set, uint64_t inode);

/* The queue of one unix listener, named by inode and cookie (SO_COOKIE): connections that wait to be
 * accepted, and the limit given to listen(). */
__attribute__((warn_unused_result)) int diag_unix_queue(uint64_t inode, uint64_t cookie, uint32_t *ret_queued,
                                                        uint32_t *ret_limit);

/* Fills `set` with the listening sockets that are bound to `address` (of a unix path there may be several: it
 * was taken away and bound again). On failure the set is empty. */
__attribute__((warn_unused_result)) int diag_listeners(const struct address *address, struct diag_set *set);

/* The same of a TCP listener, which is looked for at its `address`. -ENOENT also: there is no such socket. */
__attribute__((warn_unused_result)) int diag_tcp_queue(const struct address *address, uint64_t inode,
                                                       uint64_t cookie, uint32_t *ret_queued,
                                                       uint32_t *ret_limit);

/* TCP connections to the local port of `address` whose handshake has begun and is not yet complete. */
__attribute__((warn_unused_result)) int diag_handshakes(const struct address *address, uint32_t *ret_count);

/* Fills `set` with the connections that were accepted from `address` and still have a descriptor somewhere;
 * queued ones are not among them. unix: matched by the bound name; TCP: by local port and address, wildcards
 * matching all. A TCP connection that both sides have ended is gone from the kernel's tables, even when its
 * descriptor is open. A dump that is longer than one read (32 KiB, some 300 sockets) is not atomic: a socket
 * may be missed when others go meanwhile. On failure the set is empty. */
__attribute__((warn_unused_result)) int diag_accepted(const struct address *address, struct diag_set *set);

/* Whether one socket is a connection accepted from a unix `address`; exact, for whom a missed one would hurt.
 * -ENOENT: not a unix socket. */
__attribute__((warn_unused_result)) int diag_unix_accepted(const struct address *address, uint64_t inode,
                                                           bool *ret_accepted);

#endif
