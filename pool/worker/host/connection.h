/* A connection of the class async: its socket, and what is to be sent on it. */
#ifndef FCGIPOOL_POOL_WORKER_HOST_CONNECTION_H
#define FCGIPOOL_POOL_WORKER_HOST_CONNECTION_H

#include "pool/worker/host/async.h"
#include "protocol/fcgi_server.h"
#include "protocol/scgi.h"

/* Requests at a time on one connection of FastCGI. */
#define CONNECTION_REQUESTS 128

/* What a protocol makes of a connection. */
struct protocol {
    void (*open)(struct connection *connection);
    /* Bytes have come. Returns false when they are no requests: the connection is to be closed. */
    bool (*received)(struct connection *connection, struct bytes bytes);
    /* The client sends no more. Returns false when there is nothing left to be answered. */
    bool (*ended)(struct connection *connection);
    /* True when the connection is to be closed as soon as all is sent. */
    bool (*is_done)(const struct connection *connection);
    /* The next of an answer, its end, and a line of complaint, into connection->out. */
    void (*answer)(struct exchange *exchange, struct bytes bytes);
    void (*finish)(struct exchange *exchange);
    void (*complain)(struct exchange *exchange, struct bytes line);
};

extern const struct protocol async_fcgi, async_scgi;

struct connection {
    struct async *async;
    int fd;
    ev_io readable, writable;
    ev_timer linger; /* for the client to close, when we have shut our side */
    struct connection *next, **at;
    struct connection *next_dirty, *next_dead;
    bool is_dirty, is_dead;
    bool shut;        /* nothing is sent any more: what still comes is thrown away */
    bool deaf;        /* nothing comes any more; it is closed when all is answered */
    bool retired;     /* we have ended its reading, when it had rested */
    unsigned holders; /* requests whose bodies nobody reads: nothing more is received */
    struct buffer out;
    uint64_t written, sent;     /* bytes, ever */
    uint64_t sent_ns;           /* while more is to be sent than can be: when something was last */
    uint64_t rests_ns;          /* since when no request is in hand */
    struct exchange *exchanges; /* whose answer has not ended */
    union {
        struct {
            struct fcgi_server server;
            struct fcgi_server_request *places[CONNECTION_REQUESTS];
        } fcgi;
        struct {
            struct scgi_decoder decoder;
            uint64_t body_left;
            bool has_header;
        } scgi;
    };
};

void connection_open(struct async *async, int fd);

/* Something was written to connection->out: counts it, and sends it in this turn of the loop. */
void connection_wrote(struct connection *connection, size_t size);

/* Sends what there is. */
void connection_send(struct connection *connection);

/* At once; the requests on it are aborted. */
void connection_close(struct connection *connection);

/* One more has enough of his body, or one less. */
void connection_hold(struct connection *connection, bool holds);

/* No request is in hand, and nothing is left to be sent. */
bool connection_rests(const struct connection *connection);

/* A whole one is in hand, or its answer is not yet sent. */
bool connection_has_request(const struct connection *connection);

/* One that has none is closed; but for a request that has come this moment, which is answered first. */
void connection_retire(struct connection *connection);

/* Closes it when its client has gone without anybody hearing of it, or has read nothing for `patience_ns` (0:
 * any time will do). */
void connection_look_after(struct connection *connection, uint64_t now_ns, uint64_t patience_ns);

/* Frees those that are closed. */
void connection_bury(struct async *async);

#endif
