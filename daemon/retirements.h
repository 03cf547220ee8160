/*
 * Leading retiring workers out, as long as there are any: each leaves when it has no request in hand. Who
 * tells of itself does so by its page (pool/drain.h); all others, and who does not do as it is told, by the
 * kernel way (kernel/retire.h).
 */
#ifndef FCGIPOOL_DAEMON_RETIREMENTS_H
#define FCGIPOOL_DAEMON_RETIREMENTS_H

#include <stdbool.h>
#include <stdint.h>

struct master;

void retirements_init(struct master *master);

/* Begins or goes on at once. Also to be called when a retiring worker may have taken a step. */
void retirements_start(struct master *master);
void retirements_stop(struct master *master);

/* The leader of a retiring worker has ended. Returns whether others of its group have connections in hand:
 * then they are waited for, and the worker's exit is reported when none is left. */
bool retirements_go_on(struct master *master, uint32_t slot);

#endif
