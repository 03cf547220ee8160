/* What happens to a pool; see event.def. */
#ifndef FCGIPOOL_POOL_EVENT_H
#define FCGIPOOL_POOL_EVENT_H

#include <stdint.h>

enum event_type {
#define EVENT(id, name) EVENT_##id,
#include "pool/event.def"
#undef EVENT
    EVENT_TYPES
};

struct event {
    enum event_type type;
    int64_t now_ms; /* CLOCK_MONOTONIC; never less than that of the event before */
    uint32_t slot;
    uint64_t incarnation;
    int64_t number;
};

#endif
