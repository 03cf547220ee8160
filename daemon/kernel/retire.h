/*
 * The kernel way of retiring workers that cannot be observed from inside: look into /proc and sock_diag;
 * SIGSTOP what looks idle, inspect the whole process group, SIGKILL when no descriptor belongs to the
 * listener, else SIGCONT. What a killed worker has not accepted is still in the shared queue, so nothing is
 * lost. Never SIGTERM: it would stay pending until SIGCONT, and a busy libfcgi worker loses its request to
 * it. Nothing here blocks: a group that does not stop (a process in uninterruptible sleep) is looked at again
 * later.
 */
#ifndef FCGIPOOL_DAEMON_KERNEL_RETIRE_H
#define FCGIPOOL_DAEMON_KERNEL_RETIRE_H

#include "daemon/kernel/listener.h"
#include "daemon/kernel/look.h"

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum retirement_phase {
    RETIREMENT_LOOK, /* running; stopped as soon as it looks idle */
    RETIREMENT_HALT, /* SIGSTOP sent; inspected once every thread has stopped */
    RETIREMENT_DONE, /* SIGKILL sent to the group */
};

/* One worker on its way out. `group` is the pid of the worker, leader of its process group, not yet reaped.
 * Begins as {.group = PID}; the rest is kept here by retire_tick. */
struct retirement {
    pid_t group;
    enum retirement_phase phase;
    int64_t halted_at_ms;  /* when SIGSTOP was sent */
    int64_t due_ms;        /* not worth a look before */
    int64_t free_since_ms; /* when it was first seen without a connection, but at work; 0: it is not */
    unsigned busy;         /* how often in a row it was seen at the same request */
    struct look_hold hold; /* the one connection at which it was seen last; pid 0: none, or several */
    bool confined;         /* to one processor; then `processors` are those of before */
    cpu_set_t processors;
    bool headless; /* set by the caller: the leader had ended before, the others are a worker all the same */
    bool halted;   /* HALT: every thread of the group has stopped */
};

/* One attempt for each of `count` retirements that is due. A worker that is seen at the same request again is
 * due after 1, 2, 5, then 10 ms; while connections wait in the queue, workers with one thread and one request
 * are watched for its end. A group whose leader has ended is killed at once. When /proc or sock_diag do not
 * let us look, nobody is killed. Takes some hundred microseconds. Returns the milliseconds after which the
 * next attempt is worth while, or -1 when all are DONE. */
int retire_tick(struct retirement *const *retirements, size_t count, const struct listener *listener,
                int64_t now_ms);

/* Stops a group that is to be ended by a signal, so that it takes nothing up to then. Returns whether it has
 * stopped, within some hundred microseconds, without a connection; then retire_cancel is due after the
 * signal. Else it runs on. */
__attribute__((warn_unused_result)) bool retire_hold(struct retirement *retirement,
                                                     const struct listener *listener);

/* Lets a halted group run again, wherever it could before: the retirement is given up or goes on by other
 * means. */
void retire_cancel(struct retirement *retirement);

#endif
