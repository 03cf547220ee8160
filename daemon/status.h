/* What `status --json` shows. */
#ifndef FCGIPOOL_DAEMON_STATUS_H
#define FCGIPOOL_DAEMON_STATUS_H

#include <jansson.h>

struct master;

/* A new reference: {v, name, pid, state, file, generation, floor, min, max, queue, counters, workers}. */
json_t *status_json(const struct master *master);

/* What the pool has done since its first master started: {"counters","requests"}. */
json_t *status_totals_json(const struct master *master);

#endif
