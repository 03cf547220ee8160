/* What `status --json` shows. */
#ifndef FCGIPOOL_DAEMON_STATUS_H
#define FCGIPOOL_DAEMON_STATUS_H

#include <jansson.h>

struct master;

/* A new reference: {v, name, pid, state, file, generation, floor, min, max, queue, counters, workers}. */
json_t *status_json(const struct master *master);

#endif
