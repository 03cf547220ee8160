/*
 * One look at the machine: which processes belong to which group, and which sockets are connections of the
 * pool. It serves many questions, and is only as good as its moment.
 */
#ifndef FCGIPOOL_DAEMON_KERNEL_LOOK_H
#define FCGIPOOL_DAEMON_KERNEL_LOOK_H

#include "daemon/kernel/diag.h"
#include "daemon/kernel/listener.h"
#include "daemon/kernel/proc.h"

/* Starts as {.listener = LISTENER}; storage is kept from one look to the next. */
struct look {
    const struct listener *listener; /* borrowed */
    struct proc_table processes;
    struct diag_set accepted;
    int failure; /* of what was taken last: 0 or -errno */
    bool taken;
};

/* A connection that somebody holds. */
struct look_hold {
    pid_t pid;
    int fd;
    uint64_t inode;
};

void look_fini(struct look *look);

/* The two halves. On failure nobody counts as idle: look_holds answers with the error. */
void look_at_processes(struct look *look);
void look_at_connections(struct look *look);

/* Both, unless that was done before. */
void look_once(struct look *look);

/* How many accepted connections the members of the group hold, with one of them in `ret_hold` (by the leader,
 * if it has one), or -errno (-EACCES also when /proc hides the members). `exact` asks the kernel for each
 * socket that the look does not know, for whom a missed one would hurt. */
__attribute__((warn_unused_result)) int look_holds(const struct look *look, pid_t group, bool exact,
                                                   struct look_hold *ret_hold);

/* Whether a thread of the process waits for connections: in accept on the listener, or in poll, select or
 * epoll on anything. Takes no look at the machine. `ret_unreadable` is set to whether the answer is false
 * because /proc does not let us look. */
bool look_process_waits(const struct look *look, pid_t pid, bool *ret_unreadable);

/* Whether a process of the group does. */
bool look_waits(struct look *look, pid_t group, bool *ret_unreadable);

/* Whether the worker serves: it waits for connections or holds one. It has exec'ed, as spawn_process
 * promises; until then its descriptors would be the master's. */
bool look_serves(struct look *look, pid_t group, bool *ret_unreadable);

#endif
