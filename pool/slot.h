/*
 * A worker slot: who is in it, in which state, and until when. The moves between states are the table of
 * slot.def. Identity is slot + incarnation; pids are the shell's matter.
 */
#ifndef FCGIPOOL_POOL_SLOT_H
#define FCGIPOOL_POOL_SLOT_H

#include "pool/reason.h"

#include <stdbool.h>
#include <stdint.h>

/* A time that never comes. */
#define NEVER_MS INT64_MAX

static inline int64_t earlier_ms(int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

enum slot_state {
#define SLOT_STATE(id, name) SLOT_##id,
#include "pool/slot.def"
    SLOT_STATES
};

enum slot_step {
    SLOT_STEP_SPAWN,
    SLOT_STEP_READY,
    SLOT_STEP_RETIRE,
    SLOT_STEP_ABORT,
    SLOT_STEP_KILL,
    SLOT_STEP_EXIT,
    SLOT_STEPS
};

struct slot {
    enum slot_state state;
    enum reason reason;   /* why it is on its way out, REASON_NONE before */
    uint64_t incarnation; /* spawn serial of the pool, from 1; 0 in an empty slot */
    uint64_t generation;  /* version of the control file it was started from */
    uint64_t place;       /* the address that it accepts at */
    uint32_t number;      /* by which it gets its share of what is dealt out; see number.h */
    int64_t spawned_ms;
    int64_t retired_ms;  /* RETIRING: since when */
    int64_t deadline_ms; /* when the policy has to look at it again; NEVER_MS: not by time */
    enum reason due;     /* why it is to be replaced, REASON_NONE while it is not */
    bool recycled;       /* it was retired for that, and not for another reason */
    bool busy;           /* every place of it was taken when it was last looked at */
    int64_t overdue_ms;  /* since when a request of it is known to be overdue; NEVER_MS: none is */
    uint32_t requests_share, lifetime_share; /* of the jitter of max_requests, max_lifetime; in 2^-32 */
};

/* "starting", "serving", ...: the names of status. */
const char *slot_state_name(enum slot_state state);

/* An empty slot. */
void slot_init(struct slot *slot);

/* Moves along the table. A step that the table does not have is a bug (ASSERT). The last step, EXIT, empties
 * the slot. `deadline_ms` is that of the new state. */
void slot_move(struct slot *slot, enum slot_step step, int64_t deadline_ms);

/* True while it serves or is about to: capacity of the pool. A worker on its way out is none. */
bool slot_is_capacity(const struct slot *slot);

/* True when it was told to leave, so that its exit is no crash. */
bool slot_is_leaving(const struct slot *slot);

/* True when it serves and is to be replaced. */
bool slot_is_due(const struct slot *slot);

/* True when even SIGKILL has not ended it, and the pool does not wait for it any more. */
bool slot_is_given_up(const struct slot *slot);

#endif
