/*
 * The drain: the worker takes no new connection, answers those that it has, and leaves.
 *
 * The master sets `drain` in the page, which is looked at before each accept; its signal is for those that
 * wait already. Its handler puts a dead socket in the place of the listener: an accept that is interrupted,
 * or about to begin, meets EINVAL there. Without that, a signal just before the system call would be lost.
 *
 * The signal never meets a request. It is sent, after `drain` was set, to threads whose row says then that
 * they wait; and who waits no more says so first, and looks at `drain` after that. So either the master has
 * seen it in time, or it is known here that the signal may be on its way: then it is held (masked) from there
 * on.
 *
 * It is also sent to the thread that was the last to know of a kept connection, for which there is no such
 * order of things: a thread that has ended a request on one holds the signal but in accept, in a wait for the
 * listener, and in a read on a kept connection that rests.
 *
 * A program's own masks leave the signal as it is (process_own_mask). One that is set in another way than by
 * sigprocmask may hold it where it is waited for: such a worker is found by the master, after a second, to be
 * one that has to be led out from outside.
 */
#ifndef FCGIPOOL_POOL_WORKER_DRAIN_H
#define FCGIPOOL_POOL_WORKER_DRAIN_H

#include "pool/worker/process.h"

#include <stdbool.h>

/* Installs the handler; descriptor 0 is the listener. */
void drain_attach(void);

/* The process comes to its first accept. */
void drain_accepts(void);

/* True when the master has asked for the drain. */
static inline bool drain_asked(void)
{
    return __atomic_load_n(&process.page->orders.drain, __ATOMIC_SEQ_CST) != 0;
}

/* Gives the listener up and tells the master so, once a process. */
void drain_give_up(void);

/* True when there are connections in hand; those that were closed behind our back are found out. */
bool drain_in_hand(void);

/* The answer to an accept in the drain: -1 and errno. `returns`: this thread serves what is in hand itself
 * and must have EAGAIN meanwhile; else it waits until other threads have. */
int drain_refuse(bool returns);

/* A request has ended on a kept connection: in the drain it is closed, unless more has come in. */
void drain_kept(int fd);

/* A connection of this process was closed: in the drain the last one wakes the master. */
void drain_closed(void);

/* How many times this thread has had the signal. */
unsigned drain_signals(void);

/* In the child of a fork. */
void drain_forked(void);

#endif
