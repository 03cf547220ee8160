/*
 * One look at how much the workers have to do. Counted in places: the requests that they can have in hand at
 * once, one a worker where requests are served one by one.
 */
#ifndef FCGIPOOL_POOL_LOAD_H
#define FCGIPOOL_POOL_LOAD_H

#include <stdbool.h>
#include <stdint.h>

struct load {
    uint32_t workers; /* that serve */
    uint32_t places;  /* theirs */
    uint32_t busy;    /* places that are taken */
    uint32_t peak;    /* the most that were, since the look before */
    uint32_t queued;  /* connections that wait to be accepted */
    uint32_t accepts; /* those that were so far, around and around; of workers that nobody sees into, none */
    uint32_t service_us;    /* mean time of service of late; 0: not known */
    uint64_t requests;      /* begun so far */
    const bool *busy_slots; /* a slot each, borrowed for the step; NULL: not known */
};

/* Of the `places`, so many are idle now, and `low` were at the least since the look before: what workers
 * tell, so neither need be possible. Sets busy and peak. */
void load_count(struct load *load, int64_t idle, int64_t low);

/* Whether nobody is idle, or somebody waits nevertheless. */
bool load_is_full(const struct load *load);

#endif
