/*
 * The numbers of workers: each gets the lowest that nobody has who stays, so that they are 0 to n - 1 again
 * whenever all are there, and a successor has that of whom it succeeds. What is dealt to workers out of a
 * list by their numbers is dealt evenly. Each address that the pool serves at counts for itself. A part of
 * the policy.
 */
#ifndef FCGIPOOL_POOL_NUMBER_H
#define FCGIPOOL_POOL_NUMBER_H

#include "pool/policy.h"

/* Numbers are below that: there are no more slots. */
#define NUMBER_MAX 65536

/* Those that some workers have. */
struct numbers {
    uint64_t once[NUMBER_MAX / 64];
    uint64_t twice[NUMBER_MAX / 64];
};

/* Of the workers at `place` who serve, or are about to, and are not to be replaced. A canary and the others,
 * of which it may become one, do not count for each other: `canary` says of whom. */
void numbers_of_staying(const struct policy *policy, uint64_t place, bool canary,
                        struct numbers *ret_numbers);

/* Of those who stay at the address in effect, and serve. */
void numbers_of_serving(const struct policy *policy, struct numbers *ret_numbers);

/* The lowest that is free. */
uint32_t numbers_free(const struct numbers *numbers);

/* Whether one has it, and whether more than one do. */
bool numbers_has(const struct numbers *numbers, uint32_t number);
bool numbers_has_twice(const struct numbers *numbers, uint32_t number);

#endif
