/*
 * What a pool has done of late: requests a second, and their times of service, from samples of totals that
 * only grow. Samples are taken about once a second while there is work, and not at all while there is none.
 */
#ifndef FCGIPOOL_POOL_TALLY_H
#define FCGIPOOL_POOL_TALLY_H

#include "pool/latency.h"

#include <stdint.h>

/* The rate is that of so long a time. */
#define TALLY_RATE_MS 10000
/* The times of service are those of one to two such spans of work. */
#define TALLY_SERVICE_MS 60000
#define TALLY_SAMPLES    12

struct tally_sample {
    int64_t at_ms;
    uint64_t requests;
};

struct tally {
    struct tally_sample samples[TALLY_SAMPLES]; /* a ring */
    unsigned count;                             /* taken so far, as far as the ring holds them */
    unsigned next;
    struct latency before[2]; /* totals at the begin of this span and of the one before it */
    int64_t span_ms;          /* when this span began */
};

/* A pool that has done nothing at `now_ms`. */
void tally_init(struct tally *tally, int64_t now_ms);

/* Takes a sample of the totals. */
void tally_add(struct tally *tally, uint64_t requests, const struct latency *service, int64_t now_ms);

/* Requests of the last TALLY_RATE_MS, a thousand seconds: 2500 are 2.5 a second. `requests` is the total now.
 */
uint64_t tally_rate_milli(const struct tally *tally, uint64_t requests, int64_t now_ms);

/* The requests of which the times of service are to be shown; `service` is the total now. */
void tally_recent(const struct tally *tally, const struct latency *service, struct latency *ret_recent);

#endif
