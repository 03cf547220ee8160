/*
 * What the daemon knows of the process in a slot: the handle beside the policy's slot of the same index.
 */
#ifndef FCGIPOOL_DAEMON_WORKER_H
#define FCGIPOOL_DAEMON_WORKER_H

#include "daemon/kernel/retire.h"
#include "daemon/output.h"
#include "pool/drain.h"
#include "pool/page_read.h"
#include "pool/reason.h"

/* Whom its start waits for, if it is to be forked off a template. */
enum worker_awaits {
    AWAITS_NOTHING,
    AWAITS_TEMPLATE, /* to have loaded the application, and be free */
    AWAITS_FORK,     /* it was ordered: there are page and output, and no process */
};

struct worker {
    pid_t pid;             /* 0: nobody; leader of its process group; not yet reaped, unless headless */
    bool headless;         /* retired; the leader has gone, others of the group still have requests in hand */
    int64_t began_ms;      /* when the process was there */
    struct output *output; /* owned; NULL without a worker, or when it has our own */
    struct page *page;     /* mapped; owned; NULL: none was given to it */
    const struct listener *listener; /* that it accepts from; as long as there is a process */
    bool must_tell; /* "observe": "preload": without the library it does not count as serving */
    bool is_host;   /* it serves an application: its exit codes are ours */
    bool overdue;   /* the policy was told that a request is older than `timeout` */
    enum worker_awaits awaits;
    enum reason reason; /* of its start */
    struct drain drain; /* these two are meaningful while the slot is RETIRING */
    struct retirement retirement;
};

/* Whether the library was loaded into a process of it, perhaps not the one that will serve. */
static inline bool worker_has_loaded(const struct worker *worker)
{
    return worker->page && __atomic_load_n(&worker->page->report.attached_pid, __ATOMIC_SEQ_CST) > 0;
}

/* Whether it tells of itself: the library is in it, and has come to accept. */
static inline bool worker_tells(const struct worker *worker)
{
    return worker->page && __atomic_load_n(&worker->page->report.accepted_pid, __ATOMIC_SEQ_CST) > 0;
}

/* How many requests it has begun, as far as it tells. */
static inline uint64_t worker_requests(const struct worker *worker)
{
    return worker_tells(worker) ? page_requests(worker->page) : 0;
}

#endif
