/*
 * The class async: one loop serves many connections, and on each of FastCGI many requests at a time.
 *
 *   intake ──connection──▶ connection ──bytes──▶ async_fcgi, async_scgi ──▶ exchange ──▶ the application
 *   connection ◀──records── async_fcgi, async_scgi ◀──answer── exchange
 *
 * What is written is sent when the loop is about to wait, so that the answers of a turn go in one piece.
 */
#ifndef FCGIPOOL_POOL_WORKER_HOST_ASYNC_H
#define FCGIPOOL_POOL_WORKER_HOST_ASYNC_H

#include "pool/worker/host/intake.h"
#include "pool/worker/host/options.h"
#include "pool/worker/host/request.h"
#include "pool/worker/hosted.h"

/* Bytes that are read at a time. */
#define ASYNC_READ 65536

struct connection;
struct exchange;
struct protocol;

struct async {
    const struct fcgipool_app *app;
    const struct protocol *protocol;
    unsigned limit;       /* connections at a time */
    struct ev_loop *loop; /* owned by libev */
    struct post_box box;
    struct intake intake;
    const struct hosted_link *hosted; /* borrowed; NULL: nobody sees into this worker */
    bool ending;                      /* no connection comes any more */

    struct connection *connections; /* owned; all that are open */
    struct connection *dirty;       /* that have something to send */
    struct connection *dead;        /* that are closed, to be freed when nobody is within them any more */
    unsigned exchanges;             /* that are not yet finished by the application */
    struct exchange *first, **end;  /* in hand, the oldest first */
    struct exchange *waiting, **waiting_end; /* that are to be called back, in order */
    unsigned open;                           /* connections */
    unsigned sending;                        /* of them that wait to be able to send */
    ev_prepare turn;
    ev_timer again; /* more is to be done at once */
    ev_timer tick;  /* while there is something to look at now and then */
    ev_signal term;
    uint8_t input[ASYNC_READ];
};

/* Serves until nothing is to be accepted any more. Returns false when it could not begin. */
bool async_run(const struct fcgipool_app *app, const struct options *options);

/* CLOCK_MONOTONIC, in nanoseconds. */
uint64_t async_now(void);

/* There is something to look at now and then. */
void async_ticks(struct async *async);

/* A connection has been closed, or a request finished. */
void async_look_at_end(struct async *async);

#endif
