/*
 * The page: what a worker tells of itself, and what the master asks of it. One memfd a worker, sealed in
 * size, mapped by that worker (pool/worker/) and by the master, and one for the whole pool, mapped by all.
 * Layout only; both sides are built from this file, and a library of another version does not attach.
 *
 * A worker can lie only about itself: the master copies a page before it believes a word (page_read), and the
 * pool's page holds nothing but hints.
 *
 * Words that both sides touch are naturally aligned and accessed with __atomic builtins, sequentially
 * consistent unless a comment says less is enough. Times are CLOCK_MONOTONIC in nanoseconds, 0: never.
 */
#ifndef FCGIPOOL_POOL_PAGE_H
#define FCGIPOOL_POOL_PAGE_H

#include <stddef.h>
#include <stdint.h>

#define PAGE_MAGIC      0x6670616745ULL /* "fpagE" */
#define PAGE_POOL_MAGIC 0x66706f6f4cULL /* "fpooL" */
#define PAGE_VERSION    5U
#define PAGE_BYTES      16384U
#define PAGE_POOL_BYTES 4096U
#define PAGE_LINE       64 /* bytes of a cache line */

/* The environment of a worker: "PAGE_FD:POOL_FD" in decimal, beside LD_PRELOAD whose first element is the
 * library. Both descriptors and both variables go when a process of the worker first accepts. */
#define PAGE_VARIABLE "FCGIPOOL_PAGE"

/* The drain's wake-up, sent after `drain` was set to the threads that wait, by their rows: ignored by
 * default, so that it harms nobody who does not know it. */
#define PAGE_DRAIN_SIGNAL 23 /* SIGURG */

#define PAGE_ACCEPTORS   64
#define PAGE_CONNECTIONS 48
#define PAGE_METHOD      16  /* bytes; longer ones are cut; NUL-terminated unless full */
#define PAGE_URI         200 /* likewise */

/* ---- times of service, by logarithm: 8 buckets an octave of microseconds ---- */

#define PAGE_BUCKETS_OCTAVE 8
#define PAGE_BUCKETS        240

/* The bucket of a duration in microseconds: exact below 16 us, then within 12.5 %, the last one holding all
 * from 4.3 thousand seconds on. */
static inline unsigned page_bucket(uint64_t microseconds)
{
    if (microseconds < 2 * PAGE_BUCKETS_OCTAVE)
        return (unsigned)microseconds;
    unsigned octave = 60U - (unsigned)__builtin_clzll(microseconds); /* of the value / 8: 1 for 16 to 31 */
    unsigned bucket = octave * PAGE_BUCKETS_OCTAVE + (unsigned)(microseconds >> octave);
    return bucket < PAGE_BUCKETS ? bucket : PAGE_BUCKETS - 1;
}

/* ---- one worker ---- */

/* A connection, from accept to close. */
enum page_state {
    PAGE_FREE,      /* no connection here */
    PAGE_CONNECTED, /* accepted; its first request has not come in whole (FastCGI: the empty PARAMS record;
                       SCGI: the header block) */
    PAGE_BUSY,      /* a request is in hand */
    PAGE_FINISHING, /* the response has ended (END_REQUEST, or the writing side shut), the connection is to be
                       closed */
    PAGE_KEPT,      /* idle between two requests: FCGI_KEEP_CONN */
};

/* A thread that accepts. Free while pid is 0; taken by compare-and-swap of `owner`. `waiting` is written
 * before `idle` of the pool's page, which keeps it in order. */
struct page_acceptor {
    union {
        struct {
            int32_t pid;
            int32_t tid;
        };
        uint64_t owner; /* both of them */
    };
    uint32_t
        waiting; /* 1: it waits for a connection, in accept or in poll, select or epoll on the listener */
    uint32_t reserved;
};

/* Free while state is PAGE_FREE; taken by compare-and-swap. All but `state` is written between two increments
 * of `seq`, which is odd meanwhile; from one state to the next, `state` is too. */
struct page_connection {
    uint32_t seq;
    uint32_t state; /* enum page_state */
    int32_t pid;    /* who accepted it */
    int32_t tid;
    int32_t fd;
    uint32_t requests;   /* on this connection, the one in hand included */
    uint64_t since_ns;   /* the state's begin; CONNECTED: the kernel's last tick before it */
    uint64_t request_ns; /* BUSY: the request's begin */
    char method[PAGE_METHOD];
    char uri[PAGE_URI]; /* REQUEST_URI, or SCRIPT_NAME without one */
};

enum page_flag {
    PAGE_NESTED = 1, /* forked children of the worker's leader accept: only a SIGTERM to the group ends it */
    PAGE_ENDS_OVERDUE = 2, /* it ends requests by itself that are older than timeout, as long as it beats */
};

/* Lines of a cache: who writes what is kept apart. */
struct page {
    /* Written by the master before the worker starts, and never again. */
    struct {
        uint64_t magic;
        uint32_t version;
        uint32_t size;
        uint64_t incarnation;
        uint64_t
            listener_inode; /* of the listener, which is the worker's descriptor 0; elsewhere the library */
        uint64_t listener_device; /* stays inert */
    } about __attribute__((aligned(PAGE_LINE)));

    /* Written by the master at any time. */
    struct {
        uint64_t max_requests; /* when `requests` reaches it the worker wakes the master; 0: none */
        uint64_t timeout_ms;   /* of a request, for a worker that ends its own (PAGE_ENDS_OVERDUE); 0: none */
        uint32_t drain;        /* 1: take no new connection, leave when none is left */
    } orders __attribute__((aligned(PAGE_LINE)));

    /* Written by the worker, as is all that follows. */
    struct {
        uint64_t requests; /* begun so far (BUSY), by all processes of the worker */
        uint32_t overflow; /* connections now that have found no free entry */
        int32_t
            attached_pid; /* the last process in which the library was loaded and found its page; 0: none */
        int32_t accepted_pid; /* the first process that came to accept; 0: none, so the library is not in
                                 effect */
        uint32_t drained;     /* processes that have given up the listener */
        uint32_t flags;       /* enum page_flag */
        uint32_t unlisted;    /* acceptors, ever, that no row tells of: none was free, or it was an epoll set
                                 too many */
        uint64_t accepted_ns; /* when accepted_pid came to accept */
        uint64_t beat_ns; /* PAGE_ENDS_OVERDUE: when it last looked for such; while requests are in hand */
    } report __attribute__((aligned(PAGE_LINE)));

    struct page_acceptor acceptors[PAGE_ACCEPTORS] __attribute__((aligned(PAGE_LINE)));

    /* Requests by their time of service, from BUSY to FINISHING, KEPT or close; relaxed. */
    uint64_t service[PAGE_BUCKETS] __attribute__((aligned(PAGE_LINE)));

    struct page_connection connections[PAGE_CONNECTIONS] __attribute__((aligned(PAGE_LINE)));
};

_Static_assert(sizeof(struct page_connection) == 256, "four lines a connection");
_Static_assert(sizeof(struct page) <= PAGE_BYTES, "the page has its size");

/* ---- the pool ---- */

/* What the master is woken for. */
enum page_wake {
    PAGE_WAKE_REQUEST = 1,  /* if armed: a connection was accepted, or a request begun on a kept one */
    PAGE_WAKE_ALL_BUSY = 2, /* if armed: the last idle place was taken */
    PAGE_WAKE_ACCEPTS = 4,  /* the first accept of a worker */
    PAGE_WAKE_LIMIT = 8,    /* its `requests` have reached max_requests */
    PAGE_WAKE_DRAINED = 16, /* a process that is to leave is free to go */
};

struct page_pool {
    uint64_t magic;
    uint32_t version;
    uint32_t size;
    int32_t idle __attribute__((aligned(PAGE_LINE))); /* acceptors that wait */
    int32_t idle_low;                                 /* the fewest since the master set it; may miss some */
    uint32_t accepts;                                 /* connections accepted so far; relaxed */
    uint32_t armed __attribute__((aligned(PAGE_LINE))); /* who takes a bit out wakes the master */
    uint32_t news;                                      /* what for; the master takes the bits out */
    uint32_t wake;                                      /* the futex: incremented, then FUTEX_WAKE (shared) */
};

_Static_assert(sizeof(struct page_pool) <= PAGE_POOL_BYTES, "the pool's page has its size");

#endif
