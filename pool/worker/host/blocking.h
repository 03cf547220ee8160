/* The classes sync and threads: a thread serves one request at a time, and waits where it has to. */
#ifndef FCGIPOOL_POOL_WORKER_HOST_BLOCKING_H
#define FCGIPOOL_POOL_WORKER_HOST_BLOCKING_H

#include "pool/worker/host/options.h"
#include "pool/worker/host/request.h"

/* Serves with so many threads as the options say, this one among them, until nothing is to be accepted any
 * more. */
void blocking_run(const struct fcgipool_app *app, const struct options *options);

/* What such a lane calls once a request has come, before it ends the answer: the application, and, if it
 * defers, its loop until it has finished. */
void blocking_serve(struct fcgipool_request *request, const struct fcgipool_app *app, struct post_box *box);

/* SIGTERM has come. */
bool blocking_is_over(void);

/* The answer is sent. */
void blocking_served(void);

/* For the lanes: nothing is ever queued, and nothing has to be woken. */
size_t blocking_queued(const struct fcgipool_request *request);
void blocking_wants(struct fcgipool_request *request);

/* The lanes: each accepts, serves and answers until accept fails for good. */
void blocking_fcgi(const struct fcgipool_app *app, struct post_box *box);
void blocking_scgi(const struct fcgipool_app *app, struct post_box *box);

#endif
