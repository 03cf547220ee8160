/*
 * The state file: who the workers of a master are, for the master that comes after its death.
 * Text of fixed width: a line with version, boot id and the number of sockets; a line a socket (identity and
 * address; the newest first); then one record a worker. Records are written in place, one pwrite each and no
 * fsync: the file must outlive the master, not the machine. It lies beside the control socket, whose lock its
 * owner holds.
 */
#ifndef FCGIPOOL_DAEMON_KERNEL_STATE_H
#define FCGIPOOL_DAEMON_KERNEL_STATE_H

#include "daemon/base/problem.h"
#include "daemon/kernel/listener.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* One worker; `start` as proc_start tells it. It accepts from the socket with this inode and cookie, which is
 * not the newest one when its master, too, found workers of a former one. */
struct state_record {
    pid_t pid; /* 0: free */
    uint64_t start;
    uint64_t inode, cookie;
};

/* What a former master left. */
struct state_former {
    struct listener *sockets; /* owned; as they were: no descriptor, no lock; its own, then older ones */
    size_t socket_count;
    struct state_record *records; /* owned; none is free */
    size_t count;
    bool garbage; /* the file, or some of it, could not be understood */
};

#define STATE_FORMER_INIT                                                                                    \
    {                                                                                                        \
        0                                                                                                    \
    }

/* Reads the file; none, or one of another boot, leaves nothing. Garbage is skipped and said. Returns 0, or
 * -errno with the reason in `problem`: what is there cannot be read, or is not a regular file of ours alone,
 * and is neither followed nor trusted. */
__attribute__((warn_unused_result)) int state_read(const char *path, struct state_former *ret_former,
                                                   struct problem *problem);
void state_former_fini(struct state_former *former);

struct state {
    char path[PATH_MAX];
    int fd; /* -1: none */
    bool published;
    size_t header_size;           /* in bytes; where the records begin */
    struct state_record *records; /* owned; what the file has */
    size_t count;                 /* free ones included */
    size_t capacity;
};

#define STATE_INIT                                                                                           \
    {                                                                                                        \
        .fd = -1                                                                                             \
    }

/* Begins a file that nobody sees before state_publish puts it in the place of the old one. Both return 0, or
 * -errno with the reason in `problem`. */
__attribute__((warn_unused_result)) int state_create(struct state *state, const char *path,
                                                     struct problem *problem);
__attribute__((warn_unused_result)) int state_publish(struct state *state, struct problem *problem);

/* Puts what was published in the place of the file at `path`. Likewise. */
__attribute__((warn_unused_result)) int state_move(struct state *state, const char *path,
                                                   struct problem *problem);

/* Names the `count` sockets, 1 to 64, that workers accept from, the newest first: before the first record.
 * Returns 0 or -errno. */
__attribute__((warn_unused_result)) int state_name_sockets(struct state *state,
                                                           const struct listener *sockets, size_t count);

/* Names others: the file is written anew, with all that it has, and takes the place of the old one. Returns
 * 0, or -errno, and the old one stays. */
__attribute__((warn_unused_result)) int state_renew(struct state *state, const struct listener *sockets,
                                                    size_t count);

/* Adds a process, which must not have been reaped; takes one away, named by pid and start (an unknown one is
 * no error). Return 0 or -errno: the file does not have it. */
__attribute__((warn_unused_result)) int state_add(struct state *state, const struct state_record *record);
__attribute__((warn_unused_result)) int state_drop(struct state *state, pid_t pid, uint64_t start);

/* Closes, and takes away what was not published; `remove`: the file, too. Accepts one that was never created.
 */
void state_close(struct state *state, bool remove);

#endif
