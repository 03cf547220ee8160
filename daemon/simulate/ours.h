/*
 * The manager that fcgipool is: the policy core itself, with looks at the load that come when the daemon's
 * would (daemon/load.c, daemon/requests.c): when the last idle worker takes a request, every 10 ms while
 * nobody is idle and there may be more workers, once a second while there is work. Every worker tells of
 * itself.
 */
#ifndef FCGIPOOL_DAEMON_SIMULATE_OURS_H
#define FCGIPOOL_DAEMON_SIMULATE_OURS_H

#include "daemon/simulate/world.h"
#include "pool/settings.h"

/* Of `settings` (copied) those of scaling; there are no limits on workers and requests. Owned by the caller,
 * who calls its `free`. */
struct manager *ours_new(const struct settings *settings);

/* The slots that its world must have. */
uint32_t ours_slots(const struct settings *settings);

#endif
