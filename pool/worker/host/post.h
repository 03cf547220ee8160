/* A loop's letter box: callbacks that any thread puts in, and that are called in the loop. */
#ifndef FCGIPOOL_POOL_WORKER_HOST_POST_H
#define FCGIPOOL_POOL_WORKER_HOST_POST_H

#include "pool/worker/host/fcgipool.h"

#include <ev.h>
#include <pthread.h>

struct letter;

struct post_box {
    struct ev_loop *loop; /* borrowed */
    ev_async bell;        /* keeps the loop from having nothing to wait for */
    pthread_mutex_t lock;
    struct letter *first, **end; /* owned */
};

void post_open(struct post_box *box, struct ev_loop *loop);

/* None may be in it, nor come, any more. */
void post_close(struct post_box *box);

void post_add(struct post_box *box, struct fcgipool_request *request, fcgipool_callback *callback,
              void *data);

struct ev_loop *post_loop(const struct post_box *box);

#endif
