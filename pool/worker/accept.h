/*
 * Accepting from the listener, watched.
 */
#ifndef FCGIPOOL_POOL_WORKER_ACCEPT_H
#define FCGIPOOL_POOL_WORKER_ACCEPT_H

#include "pool/worker/descriptor.h"
#include "pool/worker/process.h"

#include <stdbool.h>
#include <sys/socket.h>

/* Whether a number that nobody has told of is the listener's, which is then known. The process belongs to a
 * pool; errno is preserved. */
bool accept_finds(int fd);

/* True when `fd` is the listener. */
static inline bool accept_sees(int fd)
{
    return PROCESS_LIKELY(descriptor_is_listener(fd)) || (process.page && accept_finds(fd));
}

/* As accept4, or accept when `flags` is negative. */
int accept_connection(int fd, struct sockaddr *address, socklen_t *length, int flags);

#endif
