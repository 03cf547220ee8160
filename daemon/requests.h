/*
 * What workers have in hand, by their pages: requests that last too long, clients that send none, workers
 * that have done enough; and the totals that status shows. Looked at when a worker wakes the master, once a
 * second while there is work, and exactly when the next limit is reached; not at all in an idle pool.
 */
#ifndef FCGIPOOL_DAEMON_REQUESTS_H
#define FCGIPOOL_DAEMON_REQUESTS_H

#include "pool/latency.h"
#include "pool/page_read.h"
#include "pool/tally.h"

#include <ev.h>
#include <stdint.h>

struct master;
struct worker;

struct requests {
    ev_timer look;
    uint64_t looked_ns;          /* the time of the last look */
    int64_t timeout_ms, slow_ms; /* limits as they were then */
    int64_t sampled_ms;          /* and of the last sample of the totals */
    uint64_t sampled;            /* requests begun until then */
    uint64_t total;              /* begun by workers who have gone */
    uint64_t before;             /* and by those of masters before this one */
    struct latency served;       /* by them */
    struct tally tally;
};

void requests_init(struct master *master);
void requests_start(struct master *master);
void requests_stop(struct master *master);

/* The settings have new values: limits hold at once. */
void requests_limit(struct master *master);

/* Asks to be woken for it. */
void requests_arm(struct master *master, enum page_wake what);

/* What the page of a worker shows (worker_tells) of its living processes. */
void requests_read(const struct worker *worker, struct page_view *ret_view);

/* Likewise, but its first process is taken to live until its end was heard of: without a look at /proc for
 * each of many workers. */
void requests_glance(const struct worker *worker, struct page_view *ret_view);

/* A worker has gone: its page is counted a last time. */
void requests_gone(struct master *master, uint32_t slot);

/* Begun so far by all workers, and the times of service of those that have ended. */
uint64_t requests_total(const struct master *master, struct latency *ret_served);

#endif
