/*
 * Workers that have grown too large, whatever they are doing: looked at twice a second while `max_memory` is
 * set, and not at all otherwise.
 */
#ifndef FCGIPOOL_DAEMON_WEIGH_H
#define FCGIPOOL_DAEMON_WEIGH_H

struct master;

void weigh_init(struct master *master);

/* By the settings as they are now; to be called again when they change. */
void weigh_start(struct master *master);
void weigh_stop(struct master *master);

#endif
