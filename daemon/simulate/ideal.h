/*
 * What a trace asks for, whoever manages it: the demand, which is how many workers are busy if nobody has to
 * wait, and the fewest spawns by which a pool could have as many workers at any time as were busy in the
 * idle_timeout before.
 */
#ifndef FCGIPOOL_DAEMON_SIMULATE_IDEAL_H
#define FCGIPOOL_DAEMON_SIMULATE_IDEAL_H

#include "daemon/simulate/trace.h"
#include "pool/settings.h"

#include <stdint.h>

struct ideal {
    double mean;
    uint32_t peak;
    uint64_t spawns; /* the upward steps of the demand's windowed maximum, within workers.min and max */
};

void ideal_of(const struct trace *trace, const struct settings *settings, struct ideal *ret_ideal);

#endif
