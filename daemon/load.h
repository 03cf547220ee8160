/*
 * How much the workers have to do, told to the policy: at once when a worker takes the last idle place, soon
 * again while none is idle, and once a second while there is work. Each of these looks is at the pool's page
 * and at the queue, so it costs the same whatever the number of workers.
 *
 * Of workers that no page tells of, and where there is none, it is the listener that wakes: a connection that
 * comes in when nothing was in hand.
 */
#ifndef FCGIPOOL_DAEMON_LOAD_H
#define FCGIPOOL_DAEMON_LOAD_H

#include "pool/page_read.h"

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

struct listener;
struct master;

struct load_watch {
    ev_timer look;
    ev_io knock;      /* on an epoll of its own, for which a connection is news once */
    int epoll;        /* owned; -1: none so far */
    int64_t blind_ms; /* when blind workers were last looked at */

    /* As of the last look at all pages. */
    bool *busy; /* a slot each; owned */
    uint32_t slot_count;
    uint32_t telling; /* serving workers with a page */
    uint32_t blind;   /* and without */
    uint32_t blind_busy;
    uint32_t seen;    /* serving workers with a page, at the last look of any kind */
    uint32_t places;  /* of those that tell */
    uint32_t waiting; /* of all */
    int64_t drift;    /* of the pool page's count from that */
    uint32_t service_us;
    uint64_t requests;

    uint32_t queue_peak;
    uint64_t all_busy; /* how often the last idle place was taken */
};

void load_init(struct master *master);
void load_start(struct master *master);
void load_stop(struct master *master);

/* There is another listener; one is about to be closed. */
void load_watch(struct master *master, const struct listener *listener);
void load_unwatch(struct master *master, const struct listener *listener);

/* A worker has woken the master, for it has taken the last idle place. */
void load_wake(struct master *master);

/* A worker is ready. */
void load_ready(struct master *master, uint32_t slot);

/* What workers there are has changed, the pool's state, or the settings: another kind of watch may be needed.
 */
void load_adjust(struct master *master);

/* A look at all pages: begins, is at one of them, is through; `served` are the times of service of late. */
void load_begin(struct master *master);
void load_worker(struct master *master, uint32_t slot, const struct page_scan *scan);
void load_sample(struct master *master, uint64_t requests, const struct latency *served);

/* The look at all pages after a sample: still nothing was in hand. */
void load_quiet(struct master *master);

#endif
