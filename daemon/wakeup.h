/*
 * What workers wake the master with: a thread that waits on the pool page's futex, and does nothing else. An
 * event costs a system call a worker, no poll and no descriptor; a hostile worker cannot make the master
 * spin, for after each event the thread takes a pause. Nothing is lost in it, events only come together.
 */
#ifndef FCGIPOOL_DAEMON_WAKEUP_H
#define FCGIPOOL_DAEMON_WAKEUP_H

#include "pool/page.h"

#include <ev.h>
#include <pthread.h>
#include <stdbool.h>

struct wakeup {
    struct ev_loop *loop;
    struct page_pool *pool; /* borrowed; NULL: not started */
    ev_async arrived;
    pthread_t thread;
    bool stopping; /* atomic */
};

/* Calls `callback` in the loop, with arrived.data == `data`, soon after each increment of pool->wake. Returns
 * 0 or -errno. `wakeup` must stay where it is. */
__attribute__((warn_unused_result)) int wakeup_start(struct wakeup *wakeup, struct page_pool *pool,
                                                     struct ev_loop *loop,
                                                     void (*callback)(struct ev_loop *, ev_async *, int),
                                                     void *data);

/* Accepts one that was not started. */
void wakeup_stop(struct wakeup *wakeup);

#endif
