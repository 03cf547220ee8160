/* What happens to a pool; see event.def. */
#ifndef FCGIPOOL_POOL_EVENT_H
#define FCGIPOOL_POOL_EVENT_H

#include "pool/load.h"

#include <stdint.h>

enum event_type {
#define EVENT(id, name) EVENT_##id,
#include "pool/event.def"
#undef EVENT
    EVENT_TYPES
};

/* How a worker ended, for EVENT_EXITED. */
enum exit_cause {
    EXIT_CAUSE_CLEAN,  /* code 0 */
    EXIT_CAUSE_SERVED, /* code 0 after at least one request: a limit of its own, no failure at all */
    EXIT_CAUSE_CODE,   /* another code */
    EXIT_CAUSE_SIGNAL,
    EXIT_CAUSES
};

struct event {
    enum event_type type;
    int64_t now_ms; /* CLOCK_MONOTONIC; never less than that of the event before */
    uint32_t slot;
    uint64_t incarnation;
    int64_t number;
    struct load load; /* of EVENT_LOAD */
};

#endif
