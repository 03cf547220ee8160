/*
 * What the master sees of its workers and its queue from outside (the kernel way), as long as it needs to
 * know: timers that run only while workers start, workers retire, or the pool stops.
 */
#ifndef FCGIPOOL_DAEMON_OBSERVE_H
#define FCGIPOOL_DAEMON_OBSERVE_H

struct master;

void observe_init(struct master *master);
void observe_stop(struct master *master);

/* Until every starting worker accepts: READY events. */
void observe_starts(struct master *master);

/* Until every retiring worker has left: each is ended as soon as it has no request in hand. */
void observe_retired(struct master *master);

/* Until nothing waits in the listener: QUEUE_WAITING while something does, QUEUE_EMPTY in the end. */
void observe_queue(struct master *master);

/* To be called before exits are reported: on a unix listener that refuses, an empty queue makes workers leave
 * by themselves, and the policy must know of the one before it hears of the other. */
void observe_exits(struct master *master);

#endif
