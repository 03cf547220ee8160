/*
 * An orphan: a worker that has outlived its master. It is nobody's child here, so all that is known of it is
 * read from /proc, and from its page, which it still has in its memory.
 */
#ifndef FCGIPOOL_DAEMON_ORPHAN_H
#define FCGIPOOL_DAEMON_ORPHAN_H

#include "daemon/kernel/listener.h"
#include "daemon/kernel/proc.h"
#include "daemon/kernel/retire.h"
#include "daemon/output.h"
#include "pool/drain.h"

/* A process group, named as a worker is by its leader. */
struct orphan {
    uint64_t start; /* of the leader; 0: it had ended before */
    pid_t witness;  /* then: a member that holds the socket, for the number may be given away */
    uint64_t witness_start;
    size_t former;                /* index of the socket that it accepts from */
    struct retirement retirement; /* its group names the orphan */
    uint64_t page;                /* address of its page in the leader's memory; 0: none that we can read */
    bool page_sought;
    bool leaderless;
    bool told; /* to drain, by its page: it takes no connection any more, and its leader may leave alone */
    struct drain drain;
    struct output *output; /* owned; NULL where the pipe could not be had */
    bool gone;
};

/* False when its number is somebody else's by now. */
bool orphan_is_still(const struct orphan *orphan);

/* Whether one of its processes is left; `former` is the socket that it accepts from. */
bool orphan_lives(struct orphan *orphan, const struct proc_table *table, const struct listener *former);

/* Its master may have died while it was halted, or confined to one processor: ends that. */
void orphan_run(const struct orphan *orphan);

/* True once: its leader has ended. Others of the group may have requests in hand. */
bool orphan_has_lost_leader(struct orphan *orphan);

/* Tells it to drain, if it has a page, and leads it out by that. Returns false when it is to be retired by
 * the kernel way, at least for this time. */
bool orphan_drain(struct orphan *orphan, const struct listener *former, int64_t now_ms);

#endif
