/*
 * How many workers memory allows: no more are started than fit below nine tenths of what there is, and beyond
 * nineteen twentieths those without work are given back.
 */
#ifndef FCGIPOOL_POOL_MEMORY_H
#define FCGIPOOL_POOL_MEMORY_H

#include <stdint.h>

struct memory {
    uint64_t used;   /* bytes */
    uint64_t limit;  /* likewise */
    uint64_t worker; /* what one more may take, likewise */
};

/* The most workers to have, where there are `workers` now of which `needed` have work. */
int64_t memory_ceiling(const struct memory *memory, int64_t workers, int64_t needed);

#endif
