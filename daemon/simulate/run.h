/* Runs one trace under several managers, each in a world of its own, and sums up what came of it. */
#ifndef FCGIPOOL_DAEMON_SIMULATE_RUN_H
#define FCGIPOOL_DAEMON_SIMULATE_RUN_H

#include "daemon/simulate/world.h"
#include "pool/settings.h"

#include <stddef.h>
#include <stdint.h>

struct run_outcome {
    const char *name;                       /* the manager's */
    int64_t p50_us, p95_us, p99_us, max_us; /* from arrival until a worker takes the request */
    uint64_t unserved; /* requests that nobody took; they count as having waited to the end */
    int64_t worker_us; /* of all workers, from spawn to exit */
    uint64_t spawns;
    uint32_t largest;     /* pool */
    int64_t saturated_us; /* with more to do than workers.max can */
    struct track track;
};

void run_one(const struct trace *trace, const struct settings *settings, int64_t start_us,
             struct manager *manager, struct run_outcome *ret_outcome);

#endif
