/* What is going to happen in a virtual world, by time; at one time, in the order in which it was noted. */
#ifndef FCGIPOOL_DAEMON_SIMULATE_AGENDA_H
#define FCGIPOOL_DAEMON_SIMULATE_AGENDA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A time that never comes. */
#define AGENDA_NEVER INT64_MAX

struct agenda_entry {
    int64_t at_us;
    uint64_t serial; /* the agenda's */
    int what;
    uint32_t slot;
    uint64_t life; /* whom it is about; the agenda does not look at it */
};

/* Zero-initialized: empty. */
struct agenda {
    struct agenda_entry *heap; /* owned */
    size_t count, room;
    uint64_t serials;
};

void agenda_add(struct agenda *agenda, int64_t at_us, int what, uint32_t slot, uint64_t life);

/* When something is to happen; AGENDA_NEVER: nothing is. */
int64_t agenda_next(const struct agenda *agenda);

/* Takes what is next out of an agenda that is not empty. */
struct agenda_entry agenda_take(struct agenda *agenda);

void agenda_fini(struct agenda *agenda);

#endif
