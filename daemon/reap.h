/* The dead: ends what is left of a worker's process group, reaps, logs the cause, and reports EXITED. */
#ifndef FCGIPOOL_DAEMON_REAP_H
#define FCGIPOOL_DAEMON_REAP_H

#include "pool/event.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

struct master;

/* Everybody who has died since the last call. */
void reap(struct master *master);

/* Ends the children of workers that had left their process group and still hold the listener, or it would
 * stay open; but for a new master that takes our place. For the very end; waits a little. */
void reap_strays(struct master *master);

/* The process of a worker has gone: what it had is freed, and its exit is reported. */
void reap_worker(struct master *master, uint32_t slot, enum exit_cause cause);

/* "exited with code 3 (the application could not start)". `is_host`: its codes are those of our host. */
void reap_describe(const siginfo_t *death, bool is_host, char *ret_text, size_t size);

#endif
