/*
 * Traces by rule and seed. Demand is how many workers are busy on average, if nobody has to wait: the rate of
 * arrivals times the mean time of service.
 */
#ifndef FCGIPOOL_DAEMON_SIMULATE_GENERATE_H
#define FCGIPOOL_DAEMON_SIMULATE_GENERATE_H

#include "daemon/simulate/trace.h"

#include <stdint.h>

struct generate {
    double clients; /* the demand, at its height; more than 0 */
    int64_t service_us;
    int64_t seconds;
    uint64_t seed;
};

struct generate_kind {
    const char *name;
    const char *help;
    int64_t seconds;  /* unless said otherwise */
    int64_t start_ms; /* of the workers, unless said otherwise */
    void (*make)(const struct generate *generate, uint64_t *chance, struct trace *trace);
};

/* All, ended by one without a name. */
extern const struct generate_kind generate_kinds[];

/* NULL: there is no such kind. */
const struct generate_kind *generate_find(const char *name);

/* Fills an empty trace. */
void generate_make(const struct generate_kind *kind, const struct generate *generate, struct trace *trace);

#endif
