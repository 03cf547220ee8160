/*
 * What the library (process.h) offers to a host in the same process, that serves requests of which it cannot
 * see each by itself: many at a time on a connection. The library goes on to see to connections and
 * acceptors, and in a drain to refuse new ones: who waits in accept hears of it at once. Requests are counted
 * and timed by the host, and connections that rest are ended by it.
 */
#ifndef FCGIPOOL_POOL_WORKER_HOSTED_H
#define FCGIPOOL_POOL_WORKER_HOSTED_H

#include "pool/page.h"

struct hosted_link {
    struct page *page;
    /* A request has begun; one that began then (CLOCK_MONOTONIC) has ended. From any thread. */
    void (*begun)(void);
    void (*ended)(uint64_t since_ns);
};

/* The one symbol of the library that is for others; its name for dlsym. Before the first accept. NULL: this
 * is no worker that is seen into. */
#define HOSTED_SYMBOL "fcgipool_preload_host"
const struct hosted_link *fcgipool_preload_host(void);

/* In a worker that was forked, not exec'ed, off a process in which the library was inert: attaches it to the
 * pages, whose descriptors it takes over. Descriptor 0 is the listener by then. */
#define HOSTED_ATTACH_SYMBOL "fcgipool_preload_attach"
typedef void hosted_attach(int page_fd, int pool_fd);
hosted_attach fcgipool_preload_attach;

#endif
