/* The dead: ends what is left of a worker's process group, reaps, logs the cause, and reports EXITED. */
#ifndef FCGIPOOL_DAEMON_REAP_H
#define FCGIPOOL_DAEMON_REAP_H

struct listener;
struct master;

/* Everybody who has died since the last call. */
void reap(struct master *master);

/* Ends the children of workers that had left their process group and still hold the listener, or it would
 * stay open. For the very end; waits a little. */
void reap_strays(const struct listener *listener);

#endif
