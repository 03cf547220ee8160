/*
 * The pages that workers tell of themselves in, and the library that writes them (pool/worker/): made before
 * a worker starts, handed over by descriptors and environment, mapped here as long as the worker lives.
 * Where that cannot be, workers are observed by the kernel way, and nothing else changes.
 */
#ifndef FCGIPOOL_DAEMON_PAGES_H
#define FCGIPOOL_DAEMON_PAGES_H

#include "daemon/kernel/listener.h"
#include "pool/page.h"

#include <limits.h>

#define PAGES_LIBRARY "libfcgipool_preload.so"

/* Of the memfd, by which it is found in the memory of a worker. */
#define PAGES_NAME "fcgipool-page"

struct pages {
    char library[PATH_MAX]; /* "": none, all workers are observed by the kernel way */
    struct page_pool *pool; /* mapped; NULL: as above */
    int pool_fd;            /* owned; -1: none */
};

#define PAGES_INIT                                                                                           \
    {                                                                                                        \
        .pool_fd = -1                                                                                        \
    }

/* What one start of a worker needs. */
struct pages_start {
    struct page *page; /* owned until it is taken out */
    int fds[2];        /* its page (owned) and the pool's (borrowed), to be kept open by the child */
    char **envp;       /* owned, with the strings that are not those it was made from */
    char *own[2];
};

/* Finds the library and makes the pool's page. Returns 0, or -errno with the reason in `problem`: there is no
 * library then. To be closed either way. */
__attribute__((warn_unused_result)) int pages_open(struct pages *pages, struct problem *problem);
void pages_close(struct pages *pages);

/* What the page asks of the worker from its begin. */
struct pages_orders {
    uint64_t max_requests, timeout_ms;
};

/* Makes the page of a worker and its environment out of `envp`. Returns 0 or -errno. */
__attribute__((warn_unused_result)) int pages_start(const struct pages *pages,
                                                    const struct listener *listener, uint64_t incarnation,
                                                    const struct pages_orders *orders, char *const *envp,
                                                    struct pages_start *ret_start);

/* For a process that forks workers off itself: the environment only, with the library, which will be inert.
 */
void pages_preload(const struct pages *pages, char *const *envp, struct pages_start *ret_start);

/* Frees what has not been taken out; accepts {0}. */
void pages_start_fini(struct pages_start *start);

/* A worker has gone, or never came: unmaps its page, and takes what it still counts as idle out of the pool's
 * count. Accepts NULL. */
void pages_drop(const struct pages *pages, struct page *page);

#endif
