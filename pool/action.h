/* What the shell has to do, in order; see action.def. */
#ifndef FCGIPOOL_POOL_ACTION_H
#define FCGIPOOL_POOL_ACTION_H

#include "pool/reason.h"

#include <stdint.h>

enum action_type {
#define ACTION(id, name) ACTION_##id,
#include "pool/action.def"
#undef ACTION
    ACTION_TYPES
};

/* What becomes of a new generation, for ACTION_ROLLOUT. */
enum rollout_news {
    ROLLOUT_PROVED, /* its first worker accepts: workers are started from it now */
    ROLLOUT_DONE,   /* no worker that serves is of another one */
    ROLLOUT_BACK,   /* it has failed: the one before is in effect, still or again */
};

struct action {
    enum action_type type;
    enum reason reason;
    uint32_t slot;
    uint32_t number;
    uint64_t incarnation;
};

/* The caller's storage; policy_step needs 2 x slots + 8. */
struct actions {
    struct action *items;
    uint32_t count;
    uint32_t capacity;
};

#endif
