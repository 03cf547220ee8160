/*
 * The pool's listeners: the one at the address in effect and, while the pool moves, those at the addresses
 * that it may go to and that it leaves. Each is a place of the policy's (pool/move.h).
 */
#ifndef FCGIPOOL_DAEMON_LISTENERS_H
#define FCGIPOOL_DAEMON_LISTENERS_H

#include "daemon/kernel/listener.h"
#include "pool/policy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct master;

/* At most so many at a time: those that are left, and the one in effect or that of a canary. */
#define LISTENERS_MAX (POLICY_DEPARTURES + 1)

struct bound {
    uint64_t place;       /* 0: that of the start; else the generation that it was opened for */
    struct address asked; /* as the control file has it, settled */
    struct listener listener;
    unsigned empty_looks; /* how often in a row nothing was seen to wait in it, since it refuses */
    bool drained;         /* it refuses, and nothing waits any more */
};

struct listeners {
    struct bound *items; /* owned; LISTENERS_MAX, each where it is until the end; fd -1: free */
};

void listeners_init(struct listeners *listeners);

/* Closes all. */
void listeners_fini(struct listeners *listeners);

/* The next one that is open, the first after NULL; NULL after the last. */
struct bound *listeners_next(const struct listeners *listeners, const struct bound *bound);

/* The one that is open at a place, NULL: none; and at the place in effect. */
struct bound *listeners_at(const struct listeners *listeners, uint64_t place);
struct bound *listeners_current(const struct master *master);

/* A free one; NULL when there are too many. */
struct bound *listeners_room(const struct listeners *listeners);

uint32_t listeners_count(const struct listeners *listeners);

/* Connections that wait, in all of them. */
uint32_t listeners_queued(const struct listeners *listeners);

/* Refuses new connections at the addresses that are left so; or at all. */
void listeners_refuse(struct master *master, bool all);

/* Closes those whose workers have gone and where no worker will be started any more. */
void listeners_prune(struct master *master);

/* Nobody serves any more: whoever connects is refused at once, and what waits still is given up. Not so at
 * the one that is shared with others (NULL: none). */
void listeners_end(const struct listeners *listeners, const struct bound *shared);

/* Names them all in the state file. */
void listeners_record(struct master *master);

#endif
