/*
 * A request as the application has it (fcgipool.h), whatever class and protocol it came by: parameters, the
 * head of the answer, callbacks. How its bytes come and go is its lane's matter.
 */
#ifndef FCGIPOOL_POOL_WORKER_HOST_REQUEST_H
#define FCGIPOOL_POOL_WORKER_HOST_REQUEST_H

#include "pool/worker/host/fcgipool.h"
#include "pool/worker/host/params.h"
#include "pool/worker/host/post.h"

struct lane {
    /* As fcgipool_read. */
    ssize_t (*read)(struct fcgipool_request *request, void *ret_bytes, size_t size);
    /* The next of the answer, its head included; and out with what is kept back. 0 or -ECONNABORTED. */
    int (*write)(struct fcgipool_request *request, struct bytes bytes);
    int (*flush)(struct fcgipool_request *request);
    /* A line without its end. */
    void (*complain)(struct fcgipool_request *request, struct bytes line);
    size_t (*queued)(const struct fcgipool_request *request);
    /* What the application waits for has changed: on_body or on_sent; or it has finished a deferred request.
     */
    void (*wants)(struct fcgipool_request *request);
};

struct request_callback {
    fcgipool_callback *function; /* NULL: none */
    void *data;
};

struct fcgipool_request {
    const struct lane *lane;
    char *const *params; /* "NAME=value"; borrowed; NULL at its end */
    bool is_authorizer;
    struct post_box *box; /* of the loop in which it lives; borrowed; NULL: there is none yet */
    void *data;
    bool deferred, finished, aborted;
    bool body_over; /* the application has read its end, or that there is none any more */
    bool head_out;
    int status; /* 0: not set */
    struct buffer head;
    struct request_callback on_body, on_abort, on_sent;
    size_t low; /* for on_sent */
};

/* Before the application sees it. */
void request_init(struct fcgipool_request *request, const struct lane *lane, char *const *params);

void request_fini(struct fcgipool_request *request);

/* The application has it, until it returns or, after a defer, has finished it. */
void request_serve(struct fcgipool_request *request, const struct fcgipool_app *app);

/* The head, if it is not out yet: there is to be an answer. Returns as lane->write. */
int request_send_head(struct fcgipool_request *request);

/* Calls back, if there is somebody; on_abort and on_sent once. */
void request_tell_body(struct fcgipool_request *request);
void request_tell_sent(struct fcgipool_request *request);

/* Nobody wants the answer any more. */
void request_abort(struct fcgipool_request *request);

#endif
