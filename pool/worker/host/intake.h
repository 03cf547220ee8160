/* The thread that accepts: it waits in accept, for the listener is shared with workers that do so and must
 * not be made non-blocking; the loop is told of each connection. */
#ifndef FCGIPOOL_POOL_WORKER_HOST_INTAKE_H
#define FCGIPOOL_POOL_WORKER_HOST_INTAKE_H

#include <ev.h>
#include <pthread.h>
#include <stdbool.h>

/* So many may wait for the loop; what a loop that stalls has not taken is better off in the queue of all
 * workers. */
#define INTAKE_QUEUE 4

struct intake {
    struct ev_loop *loop;                        /* borrowed */
    void (*take)(struct intake *intake, int fd); /* in the loop: a connection, non-blocking, to be owned */
    void (*end)(struct intake *intake);          /* in the loop: there will be none any more */
    void *data;

    /* private */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t room;
    ev_async bell;
    ev_timer nudge;
    unsigned places; /* that are free: connections that may be accepted */
    int queue[INTAKE_QUEUE];
    unsigned queued;
    bool stops, ended, told;
};

/* Accepts from descriptor 0 so many connections at a time. `take`, `end` and `data` are set by then. Returns
 * 0 or an error of pthread_create. */
int intake_start(struct intake *intake, struct ev_loop *loop, unsigned places);

/* One that was taken has been closed. */
void intake_release(struct intake *intake);

/* Accepts no more; `end` will be called. */
void intake_stop(struct intake *intake);

/* After `end`. */
void intake_join(struct intake *intake);

#endif
