/*
 * The kernel way of seeing and retiring workers that cannot be observed from inside: look into /proc and sock_diag;
 * SIGSTOP what looks idle, inspect the whole process group, SIGKILL when no descriptor belongs to the listener,
 * else SIGCONT. What a killed worker has not accepted is still in the shared queue, so nothing is lost.
 * Never SIGTERM: it would stay pending until SIGCONT, and a busy libfcgi worker loses its request to it.
 * Nothing here blocks: a group that does not stop (a process in uninterruptible sleep) is looked at again later.
 */
#ifndef FCGIPOOL_DAEMON_RETIRE_H
#define FCGIPOOL_DAEMON_RETIRE_H

#include "daemon/listener.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum retirement_phase {
    RETIREMENT_LOOK, /* running; stopped as soon as it looks idle */
    RETIREMENT_HALT, /* SIGSTOP sent; inspected once every thread has stopped */
    RETIREMENT_DONE, /* SIGKILL sent to the group */
};

/* One worker on its way out. `group` is the pid of the worker, leader of its process group, not yet reaped. */
struct retirement {
    pid_t group;
    enum retirement_phase phase;
    int64_t halted_at_ms; /* when SIGSTOP was sent */
};

/* One attempt for each of `count` retirements; one look at /proc and sock_diag serves them all.
 * Returns the milliseconds after which the next attempt is worth while, or -1 when all are DONE. */
int retire_tick(struct retirement *const *retirements, size_t count, const struct listener *listener, int64_t now_ms);

/* Lets a halted group run again: the retirement is given up or goes on by other means. */
void retire_cancel(struct retirement *retirement);

/* True when the worker serves: a thread of its group waits for connections (accept on the listener; poll, select
 * or epoll on anything) or holds an accepted one. `unreadable` is set when /proc does not let us look. */
bool retire_accepting(pid_t group, const struct listener *listener, bool *ret_unreadable);

#endif
