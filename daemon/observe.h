/*
 * What the master sees of starting workers and of its queue, as long as it needs to know: timers that run
 * only while workers start, or the pool stops or moves. Workers with the library say when they accept; the
 * others are looked at from outside.
 */
#ifndef FCGIPOOL_DAEMON_OBSERVE_H
#define FCGIPOOL_DAEMON_OBSERVE_H

#include <stdint.h>

struct master;

void observe_init(struct master *master);
void observe_stop(struct master *master);

/* Until every starting worker accepts: READY events. */
void observe_starts(struct master *master);

/* The same, at once: one may have come to accept. */
void observe_starts_now(struct master *master);

/* The same, before a deadline is said to have passed: who has come to accept has kept it, and has a request
 * in hand, perhaps. */
void observe_starts_in_time(struct master *master);

/* A worker has ended: what is to be said of it before its exit is reported. */
void observe_last(struct master *master, uint32_t slot);

/* Until nothing waits in the listeners that refuse connections: QUEUE_WAITING while something does, DRAINED
 * of each, and in a stop QUEUE_EMPTY in the end. */
void observe_queue(struct master *master);

/* To be called before exits are reported: on a unix listener that refuses, an empty queue makes workers leave
 * by themselves, and the policy must know of the one before it hears of the other. */
void observe_exits(struct master *master);

#endif
