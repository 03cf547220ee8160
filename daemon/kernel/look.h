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
};

void look_fini(struct look *look);

/* The two halves. On failure nobody counts as idle: look_holds answers with the error. */
void look_at_processes(struct look *look);
void look_at_connections(struct look *look);

/* Whether a member of the group holds an accepted connection: 1 with one of them in `ret_inode`, 0, or -errno
 * (-EACCES also when /proc hides the members). `exact` asks the kernel for each socket that the look does not
 * know, for whom a missed one would hurt. */
__attribute__((warn_unused_result)) int look_holds(const struct look *look, pid_t group, bool exact,
                                                   uint64_t *ret_inode);

#endif
