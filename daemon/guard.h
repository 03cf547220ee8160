/*
 * Keeping a pool that grows by load within its memory: that of `memory_high`, which its workers share, and
 * that of the control group it is in. Looked at before it grows, and once a second while it is larger than
 * its floor.
 */
#ifndef FCGIPOOL_DAEMON_GUARD_H
#define FCGIPOOL_DAEMON_GUARD_H

#include "daemon/kernel/cgroup.h"
#include "pool/memory.h"

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

struct master;

struct guard {
    ev_timer look;
    struct cgroup cgroup;
    uint64_t resident; /* of all workers, at the last weighing */
    uint32_t weighed;  /* how many they were */
    uint64_t worker;   /* what one takes, by the heaviest weighing */
    bool tight;        /* it holds the pool back, and that was said */
};

void guard_init(struct master *master);
void guard_start(struct master *master);
void guard_stop(struct master *master);

/* The pool may be about to grow, or has shrunk. */
void guard_look(struct master *master);

#endif
