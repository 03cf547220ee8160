/*
 * Orphans: workers that have outlived their master, which died (kill -9, out of memory, a bug). They go on
 * serving. The next master finds them by the state file, takes the listening socket over from them where the
 * kernel lets it, starts workers of its own, and then retires the orphans as it does its own: by their pages
 * where the kernel lets it, else each when it is seen without a request, up to graceful_timeout. Where the
 * socket could not be taken over, they first serve what still waits in the old one's queue.
 */
#ifndef FCGIPOOL_DAEMON_ORPHANS_H
#define FCGIPOOL_DAEMON_ORPHANS_H

#include "daemon/base/problem.h"
#include "daemon/kernel/listener.h"
#include "daemon/kernel/state.h"
#include "daemon/orphan.h"

#include <ev.h>

struct master;

struct orphans {
    struct orphan *items; /* owned */
    size_t count, capacity, left;
    struct listener *formers; /* owned; sockets of former masters, the newest first */
    size_t former_count;
    bool shared; /* the newest is ours now */
    bool retiring;
    bool cut; /* those that were left have been killed */
    int64_t deadline_ms;
    int64_t look_due_ms; /* who has gone? */
    int look_ms;         /* the pause before the next such look */
    ev_timer timer;
};

/* Looks for them, by the state file at `path`, whose lock (the control socket's) we hold. Nothing is changed
 * yet. Returns 0, also when there are none, or -errno with the reason in `problem`. */
__attribute__((warn_unused_result)) int orphans_find(struct orphans *orphans, const char *path,
                                                     struct problem *problem);

/* Looks for them once more when there was no state file to be read: by who holds a socket that was bound to
 * the unix path at which `listener` is now. */
void orphans_find_by_name(struct orphans *orphans, const struct listener *listener);

/* Looks for those in the state file of another master that has died while this one serves from the same
 * listener, and retires them; what cannot be read is logged. The file stays. */
void orphans_adopt(struct master *master, const char *path);

/* The first half of that: those in the file, and nobody else who holds the listener. As orphans_find. */
__attribute__((warn_unused_result)) int orphans_find_recorded(struct orphans *orphans, const char *path,
                                                              struct problem *problem);

/* What to take over, for struct listener_options; NULL: nothing. */
const struct listener *orphans_listener(const struct orphans *orphans);

/* How many sockets of theirs stay at this TCP address, for they could not be taken over. */
unsigned orphans_beside(const struct orphans *orphans, const struct address *address);

/* The `count` sockets in `ours`, and after them those that orphans accept from. Returns how many; owned by
 * the caller, who closes none of them. */
size_t orphans_sockets(const struct orphans *orphans, const struct listener *ours, size_t count,
                       struct listener **ret_sockets);

/* Writes the sockets, our `listener` first, and them into a new state file, so that the death of this master,
 * too, loses nobody. A group without its leader is no record: it is found by what it holds. Returns 0 or
 * -errno. */
__attribute__((warn_unused_result)) int orphans_record(const struct orphans *orphans,
                                                       const struct listener *listener, struct state *state);

/* "12, 15, 16 and 4 more": their pids. */
void orphans_names(const struct orphans *orphans, char *ret_text, size_t size);

/* From the moment when the pool's own listener is open. */
void orphans_start(struct master *master);

/* To be called when something has happened in the pool: begins to retire them once others serve, or the pool
 * stops. */
void orphans_notify(struct master *master);

/* Ends them without waiting for their requests. */
void orphans_kill(struct master *master);

/* Those that are left stay alive. */
void orphans_fini(struct master *master);

#endif
