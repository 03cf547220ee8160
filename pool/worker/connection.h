/*
 * The connections that this process has accepted, and what the page says of each: connected, busy with a
 * request, finishing, kept. One thread at a time reads or writes a connection, or the application sees to it;
 * the lock is for the turn from one state to the next, when one thread reads and another writes.
 */
#ifndef FCGIPOOL_POOL_WORKER_CONNECTION_H
#define FCGIPOOL_POOL_WORKER_CONNECTION_H

#include "pool/page.h"
#include "pool/worker/sight.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct connection {
    struct page_connection *row; /* NULL: the page was full */
    uint64_t since_ns;           /* the state's begin, from the first request on */
    uint32_t requests;
    pid_t tid;     /* the last one that came to know of its state */
    uint8_t state; /* enum page_state */
    int fd;
    bool rests; /* kept, and no byte of the next request is read */
    bool lock;
    struct sight sight;
};

/* `fd` was accepted by thread `tid`. */
void connection_open(struct connection *connection, int fd, pid_t tid);

/* It lives on as `fd`, a copy of its former descriptor. */
void connection_move(struct connection *connection, int fd);

/* It is closed, or found closed. */
void connection_close(struct connection *connection);

/* Bytes were read from it, or written to it. */
void connection_read(struct connection *connection, const void *bytes, size_t size);
void connection_wrote(struct connection *connection, const void *bytes, size_t size);
void connection_read_vector(struct connection *connection, const struct iovec *parts, int count, size_t size);
void connection_wrote_vector(struct connection *connection, const struct iovec *parts, int count,
                             size_t size);

/* Bytes were taken from it that nobody has seen. */
void connection_missed(struct connection *connection);

/* The response is complete: its end is written, or the writing side shut. */
void connection_finishes(struct connection *connection);

/* It is read where nobody can see it (stdio, another process): what is in hand is one request till the end.
 */
void connection_unseen(struct connection *connection);

/* Of a host's requests (hosted.h): one has begun; one has ended that began then. */
void connection_count(void);
void connection_measure(uint64_t since_ns);

/* Frees the rows that a former program of this process left. */
void connection_forget(pid_t pid);

#endif
