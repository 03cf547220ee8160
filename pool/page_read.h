/*
 * Reading a worker's page, which that worker may change at any moment and fill with anything: one copy by
 * atomic loads, and nothing in it is believed. States are in range, times are not in the future, strings are
 * cut and terminated, counts have limits, pids are positive or 0. What remains is what a worker may claim
 * of itself: who acts on a pid or a descriptor first makes sure that it is the worker's.
 *
 * Strings are bytes as the client sent them: not printable, not UTF-8.
 */
#ifndef FCGIPOOL_POOL_PAGE_READ_H
#define FCGIPOOL_POOL_PAGE_READ_H

#include "pool/latency.h"
#include "pool/page.h"

#include <stdbool.h>
#include <stdint.h>

#define PAGE_STATES (PAGE_KEPT + 1)

/* No count is higher: those of 4096 workers add up to less than 2^61. */
#define PAGE_COUNT_MAX (UINT64_C(1) << 48)
/* Nor is a number of connections or processes. */
#define PAGE_NUMBER_MAX (1U << 20)

/* How a page looks in short. */
struct page_scan {
    bool valid; /* magic, version and size are right; else all else is 0 */
    int32_t attached_pid;
    int32_t accepted_pid; /* 0: the library is not in effect */
    uint64_t accepted_ns;
    uint64_t requests; /* may go back where a worker lies */
    uint32_t overflow;
    uint32_t unlisted;
    uint32_t drained;
    uint32_t flags;                  /* of enum page_flag, none else */
    uint64_t beat_ns;                /* at most now_ns */
    uint32_t acceptors;              /* threads that accept, or did */
    uint32_t waiting;                /* those of them that wait for a connection */
    uint32_t numbers[PAGE_STATES];   /* connections by state; none is FREE */
    uint64_t oldest_ns[PAGE_STATES]; /* since when the oldest of them is in that state; UINT64_MAX: none */
};

struct page_view_acceptor {
    int32_t pid; /* > 0 */
    int32_t tid; /* >= 0 */
    bool waiting;
};

struct page_view_connection {
    uint32_t row;          /* in page.connections */
    uint32_t seq;          /* of the row when it was read, odd while it was being written: see page_still */
    enum page_state state; /* not FREE */
    int32_t pid;           /* >= 0, as is tid */
    int32_t tid;
    int32_t fd; /* -1: none that can be one */
    uint32_t requests;
    uint64_t begun_ns; /* of this state, of BUSY the request; at most now_ns, which it is when unknown */
    char method[PAGE_METHOD + 1]; /* "": unknown, as is the URI; never NULL inside */
    char uri[PAGE_URI + 1];
};

/* All of a page; some 20 KB. */
struct page_view {
    struct page_scan scan;
    uint32_t acceptor_count;
    uint32_t connection_count;
    struct page_view_acceptor acceptors[PAGE_ACCEPTORS];
    struct page_view_connection connections[PAGE_CONNECTIONS];
    struct latency service;
};

/* Numbers and oldest times only; of a free row only its state is read, and no string at all. */
void page_scan(const struct page *page, uint64_t now_ns, struct page_scan *ret_scan);

/* Everything. */
void page_read(const struct page *page, uint64_t now_ns, struct page_view *ret_view);

/* The number of requests only, as in a scan. */
uint64_t page_requests(const struct page *page);

/* The times of service only. */
void page_service(const struct page *page, struct latency *ret_service);

/* Leaves out the rows of processes that `lives` says no to (they died and left them behind), and counts anew.
 */
typedef bool page_lives_fn(int32_t pid, void *context);
void page_view_filter(struct page_view *view, page_lives_fn *lives, void *context);

/* The connection that has been in one of `states` (PAGE_IN(state) | ...) for the longest time, or NULL. */
#define PAGE_IN(state) (1U << (state))
const struct page_view_connection *page_view_oldest(const struct page_view *view, unsigned states);

/* Whether a connection is still in the state in which it was read, without a change in between. */
bool page_still(const struct page *page, const struct page_view_connection *connection);

#endif
