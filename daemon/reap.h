/* The dead: ends what is left of a worker's process group, reaps, logs the cause, and reports EXITED. */
#ifndef FCGIPOOL_DAEMON_REAP_H
#define FCGIPOOL_DAEMON_REAP_H

struct master;

/* Everybody who has died since the last call. */
void reap(struct master *master);

#endif
