/* Counters of a pool; see stats.def. */
#ifndef FCGIPOOL_POOL_STATS_H
#define FCGIPOOL_POOL_STATS_H

#include <stdint.h>

struct stats {
#define STAT(field, help) uint64_t field;
#include "pool/stats.def"
#undef STAT
};

#endif
