/* The body of a request between its coming and its being read: in memory, and what is collected in whole from
 * BODY_IN_MEMORY on in an unlinked file. */
#ifndef FCGIPOOL_POOL_WORKER_HOST_BODY_H
#define FCGIPOOL_POOL_WORKER_HOST_BODY_H

#include "pool/worker/host/buffer.h"

#include <stdbool.h>
#include <sys/types.h>

#define BODY_IN_MEMORY 65536

struct body {
    bool streams;    /* read while it comes: in memory, however much that is */
    bool complete;   /* nothing follows */
    uint64_t unread; /* bytes */

    /* private */
    struct buffer memory;
    int fd;       /* -1: no file */
    off_t offset; /* in the file: read up to here */
};

#define BODY_INIT ((struct body){.fd = -1})

void body_fini(struct body *body);

/* The next piece. Returns 0, or -errno: no file can be had, or written to. */
__attribute__((warn_unused_result)) int body_add(struct body *body, struct bytes piece);

/* As fcgipool_read; -EAGAIN: nothing is there yet. */
ssize_t body_read(struct body *body, void *ret_bytes, size_t size);

#endif
