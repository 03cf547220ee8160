/* A request of the class async and its answer, from its first byte until the application has finished it. */
#ifndef FCGIPOOL_POOL_WORKER_HOST_EXCHANGE_H
#define FCGIPOOL_POOL_WORKER_HOST_EXCHANGE_H

#include "pool/worker/host/body.h"
#include "pool/worker/host/connection.h"

/* So much of an answer is kept back until more is there. */
#define EXCHANGE_KEPT 32768
/* With more of a body that is not read, no more is received. */
#define EXCHANGE_UNREAD 262144

struct exchange {
    struct fcgipool_request request; /* first: the lane leads from it to here */
    struct fcgi_server_request wire;
    struct connection *connection; /* NULL: it has gone, or the answer has ended */
    struct async *async;
    struct params params;
    struct body body;
    struct buffer out; /* of the answer, that is not yet a record */
    uint64_t mark;     /* connection->written, behind the last of its bytes */
    uint64_t since_ns; /* in hand; 0: not yet */
    bool is_authorizer;
    bool served; /* the application has it */
    bool complained;
    bool holds;                            /* the connection, for its body is not read */
    bool is_waiting;                       /* it is in async->waiting */
    unsigned depth;                        /* calls of the application for it, that are under way */
    struct exchange *next, **at;           /* in hand */
    struct exchange *next_here, **at_here; /* on the connection */
    struct exchange *next_waiting, **at_waiting;
};

struct exchange *exchange_new(struct connection *connection);

/* All parameters are there; a piece of the body is, or all of it. Each may end the exchange. */
void exchange_asked(struct exchange *exchange);
void exchange_body(struct exchange *exchange, struct bytes piece);
void exchange_body_end(struct exchange *exchange);

/* The web server does not want the answer any more, but its end. */
void exchange_abort(struct exchange *exchange);

/* The connection has gone. */
void exchange_lose(struct exchange *exchange);

/* Older than the pool's timeout: it is answered with 504, or ended where it is. */
void exchange_expire(struct exchange *exchange);

/* Calls back whoever waits for something that has come. */
void exchange_call_back(struct async *async);

/* After bytes have been sent: who waits for that? */
void exchange_sent(struct connection *connection);

#endif
