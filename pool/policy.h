/*
 * The policy of a pool: state + event + time -> actions. Pure: no clock, no system call, no allocation, no
 * globals. The daemon's shell executes the actions and reports what comes of them as events; unit tests and
 * the simulator run the same code in virtual time.
 */
#ifndef FCGIPOOL_POOL_POLICY_H
#define FCGIPOOL_POOL_POLICY_H

#include "pool/action.h"
#include "pool/backoff.h"
#include "pool/event.h"
#include "pool/saturation.h"
#include "pool/scaling.h"
#include "pool/settings.h"
#include "pool/slot.h"
#include "pool/stats.h"

#include <stdbool.h>
#include <stdint.h>

/* The largest pool. */
#define POLICY_WORKERS_MAX 4096
/* A worker that exits unasked within this time after it became ready counts against the backoff. */
#define POLICY_PROBATION_MS 1000
/* So long after SIGKILL a stopping pool waits for a process to be reaped, then it leaves it behind. */
#define POLICY_REAP_MS 1000
/* A quick stop waits at most this long between SIGABRT and SIGKILL. */
#define POLICY_QUICK_MS 1000

/* How long after a look at the load the next one comes: while nobody is idle and there may be more workers,
 * for the queue grows unseen; while there are as many as there may be; and while some are idle, for nobody
 * tells that one more is. */
#define POLICY_LOOK_SOON_MS  10
#define POLICY_LOOK_LATER_MS 100
#define POLICY_LOOK_LAST_MS  1000

enum pool_state {
#define POOL_STATE(id, name) POOL_##id,
#include "pool/pool_state.def"
#undef POOL_STATE
    POOL_STATES
};

/* So many addresses may be left at a time. */
#define POLICY_DEPARTURES 7

/* How the pool leaves an address. */
struct departure {
    uint64_t
        generation; /* of workers that are started there, where that is needed; 0: nothing is left here */
    uint64_t place;
    bool whole;          /* the whole pool serves there until it does so at the address in effect */
    bool refusing;       /* connections are refused; what waits is served */
    bool waiting;        /* something does */
    int64_t until_ms;    /* no start there before, for one has failed */
    int64_t deadline_ms; /* while refusing: then nothing is waited for any more */
};

/* The members are for reading; policy_init and policy_step alone write them. */
struct policy {
    const struct settings *settings; /* borrowed */
    struct slot *slots;              /* the caller's storage */
    uint32_t slot_count;
    uint32_t counts[SLOT_STATES]; /* slots in each state */
    uint32_t due;                 /* of those that serve: to be replaced */
    enum pool_state state;
    int64_t floor;  /* workers: at least so many, in a static pool exactly; by the settings, or set by hand */
    int64_t wanted; /* so many, by floor and load */
    int64_t ceiling; /* no more than so many for the load, by memory */
    uint64_t incarnations;
    uint64_t generations; /* how many there were */
    uint64_t generation;  /* that workers are started from */
    uint64_t candidate;   /* the canary's; 0: there is to be none */
    uint64_t fallback;    /* the one before, while there is a way back to it; 0: there is none */
    bool following;       /* workers are not yet all of `generation`, nor all at its address */
    uint64_t place, candidate_place, fallback_place; /* the addresses of these three */
    struct departure departures[POLICY_DEPARTURES];
    enum reason spawn_reason; /* why capacity is missing */
    uint64_t chance;          /* state of the random numbers that make the workers' shares of jitter */
    struct backoff backoff;
    struct scaling scaling;
    struct saturation saturation;
    bool numbered;            /* the numbers matter: who has the highest leaves first */
    bool resting;             /* paused: no worker is to run, whatever is wanted */
    bool draining;            /* stopping gracefully, connections still wait in the queue */
    bool dry;                 /* so, but not at the address in effect */
    int64_t stop_deadline_ms; /* end of a graceful stop; NEVER_MS before */
    struct stats stats;
};

/* "starting", "running", ...: the names of status. */
const char *pool_state_name(enum pool_state state);

/* Slots that a pool of `workers`, and as many more as the load may ask for, needs: those that serve, at each
 * of so many `places` while it moves, those that are replaced, and the surge of those that leave beside them.
 */
uint32_t policy_slots_for(const struct settings *settings, int64_t workers, uint32_t places);

/* A pool without workers; POLICY's START event begins its life. `slots` is uninitialized storage of at least
 * policy_slots_for(workers wanted, 1); it and `settings` stay the caller's, who sends SETTINGS after each
 * change of them. Of `seed` come the workers' shares of jitter. */
void policy_init(struct policy *policy, const struct settings *settings, struct slot *slots,
                 uint32_t slot_count, uint64_t seed);

/* Goes on where the policy of another master is: `generation` is that of the first workers, `floor` that of
 * the pool, and `wanted` workers are started if that is more. Before START. */
void policy_succeed(struct policy *policy, uint64_t generation, int64_t floor, int64_t wanted);

/* What that policy has counted. */
void policy_add_stats(struct policy *policy, const struct stats *stats);

/* Whether something is dealt to the workers by their numbers. */
void policy_number(struct policy *policy, bool numbered);

/* Moves the slots into larger storage (uninitialized; the old one may be freed afterwards). */
void policy_grow(struct policy *policy, struct slot *slots, uint32_t slot_count);

/* One step. `actions` is overwritten. An event about a former incarnation is dropped. */
void policy_step(struct policy *policy, const struct event *event, struct actions *actions);

/* When to send TIME if nothing else happens; NEVER_MS: an idle pool sleeps for good. */
int64_t policy_deadline(const struct policy *policy);

/* How many slots are in `state`. */
uint32_t policy_count(const struct policy *policy, enum slot_state state);

/* Workers that are not gone, in whatever state, but for those that even SIGKILL does not end. */
uint32_t policy_live(const struct policy *policy);

/* Workers that serve or are about to, and those that serve; but for those at an address that is left. */
int64_t policy_capacity(const struct policy *policy);
int64_t policy_serving(const struct policy *policy);

/* Workers that are to run now: those that are wanted, the successors of those that are due and a canary, or
 * none in a pause. */
int64_t policy_target(const struct policy *policy);

/* True when as many serve as are wanted, and none leaves but those that were replaced: what was asked for by
 * hand is done, whatever is recycled meanwhile. */
bool policy_is_settled(const struct policy *policy);

/* The requests after which the worker in `slot` is to be reported by RECYCLE; 0: no limit. From its spawn
 * until its end it changes with SETTINGS only. */
uint64_t policy_max_requests(const struct policy *policy, uint32_t slot);

/* True when the load can be answered by more workers. */
bool policy_may_grow(const struct policy *policy);

/* How long after `load` was seen the next look is due, unless a worker takes the last idle place or, where no
 * worker serves, a connection comes. NEVER_MS: then only. */
int64_t policy_look_ms(const struct policy *policy, const struct load *load);

/* True when the load asks for workers that memory does not allow. */
bool policy_is_held(const struct policy *policy);

/* True while capacity is kept up: always but in a stop, and in a graceful one until the queue is empty. */
bool policy_is_open(const struct policy *policy);

/* The numbers of workers that SCALE events can reach; they are cut to this range. */
void policy_scale_range(const struct policy *policy, int64_t *ret_low, int64_t *ret_high);

/* NULL, or the invariant that does not hold after a step at `now_ms`. */
const char *policy_check(const struct policy *policy, int64_t now_ms);

#endif
