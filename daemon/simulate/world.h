/*
 * A pool in a virtual world: workers that serve one request each, one queue that all of them take from, first
 * come, first served, and a manager who starts and retires them. Of the idle workers the one that has waited
 * for the longest time gets the next request, as the kernel has it for those who wait in accept().
 *
 * A worker takes from the queue from `start` after its spawn on. One that is retired leaves at once, or when
 * it has answered what it has in hand. Nothing crashes, and nothing takes time but starts and requests.
 */
#ifndef FCGIPOOL_DAEMON_SIMULATE_WORLD_H
#define FCGIPOOL_DAEMON_SIMULATE_WORLD_H

#include "daemon/simulate/agenda.h"
#include "daemon/simulate/trace.h"
#include "daemon/simulate/track.h"

#include <stdbool.h>
#include <stdint.h>

/* No slot. */
#define WORLD_NONE UINT32_MAX

/* What a manager is told, after the fact. */
enum world_event {
    WORLD_BEGIN,   /* there is a pool, without workers */
    WORLD_ARRIVED, /* a request; an idle worker has taken it, or it waits */
    WORLD_DONE,    /* the worker in `slot` has answered, and has taken the next request or is idle */
    WORLD_READY,   /* the worker in `slot` accepts, and may have taken a request already */
    WORLD_EXITED,  /* the worker in `slot` has gone */
    WORLD_TIME,    /* it is what `next_us` said */
};

struct world;

/* A rule by which workers are started and retired; the first member of each one's own record. `happened` may
 * call world_spawn and world_retire. */
struct manager {
    const char *name;
    void (*happened)(struct manager *manager, struct world *world, enum world_event event, uint32_t slot);
    int64_t (*next_us)(const struct manager *manager); /* AGENDA_NEVER: not by time */
    void (*free)(struct manager *manager);
};

enum world_state { WORLD_EMPTY, WORLD_STARTING, WORLD_IDLE, WORLD_BUSY };

struct world_worker {
    enum world_state state;
    bool retired;
    uint64_t life; /* a serial number */
    int64_t spawned_us;
    int64_t since_us;       /* of its state, or of its request */
    int64_t service_us;     /* of its request */
    int64_t served_us;      /* of the one that it has answered just now; 0: none */
    int64_t busy_us;        /* with the requests before this one */
    uint32_t before, after; /* among the idle ones */
};

struct world {
    const struct trace *trace; /* borrowed */
    int64_t now_us;
    int64_t start_us;
    uint32_t max; /* workers that a pool may have; more demand is saturation */

    struct world_worker *workers; /* owned; a slot each */
    uint32_t slot_count;
    uint32_t first_idle, last_idle;
    uint32_t starting, idle, busy; /* whether retired or not */
    uint32_t leaving;              /* retired, but with a request in hand still */
    uint32_t idle_low;             /* the fewest idle ones since the manager set it */
    size_t arrived, taken, served; /* of the trace */

    /* What came of it. */
    int64_t *waits_us; /* owned; of each request in the order of arrival, -1: not taken */
    int64_t worker_us; /* of workers that have gone, from spawn to exit */
    int64_t saturated_us;
    uint64_t spawns;
    uint32_t largest;
    struct track track;

    struct agenda agenda;
};

/* `trace` stays the caller's. */
void world_init(struct world *world, const struct trace *trace, uint32_t slot_count, uint32_t max,
                int64_t start_us);
void world_fini(struct world *world);

/* Runs it to the end of the trace or of the last request, whichever is later; or, when the manager leaves
 * requests waiting, for an hour after the end of the trace. */
void world_run(struct world *world, struct manager *manager);

/* For managers. A worker for an empty slot; none is left empty for world_free_slot: WORLD_NONE. */
uint32_t world_free_slot(const struct world *world);
void world_spawn(struct world *world, uint32_t slot);
void world_retire(struct world *world, uint32_t slot);

/* Workers that live; those that were not told to leave; requests that wait. */
uint32_t world_live(const struct world *world);
uint32_t world_staying(const struct world *world);
uint32_t world_queue(const struct world *world);

/* How long the worker has been busy so far. */
int64_t world_busy_us(const struct world *world, uint32_t slot);

#endif
