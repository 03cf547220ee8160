/* Random numbers that a seed decides (splitmix64): the same ones on every machine. */
#ifndef FCGIPOOL_POOL_CHANCE_H
#define FCGIPOOL_POOL_CHANCE_H

#include <stdint.h>

/* The next number of the row that `*state` stands in, which is at first the seed. */
uint64_t chance_next(uint64_t *state);

#endif
