/*
 * Leading retiring workers out, as long as there are any: each leaves when it has no request in hand. Who
 * tells of itself does so by its page (pool/drain.h); all others, and who does not do as it is told, by the
 * kernel way (kernel/retire.h).
 */
#ifndef FCGIPOOL_DAEMON_RETIREMENTS_H
#define FCGIPOOL_DAEMON_RETIREMENTS_H

struct master;

void retirements_init(struct master *master);

/* Begins or goes on at once. Also to be called when a retiring worker may have taken a step. */
void retirements_start(struct master *master);
void retirements_stop(struct master *master);

#endif
