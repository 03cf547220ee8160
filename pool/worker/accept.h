/*
 * Accepting from the listener, watched.
 */
#ifndef FCGIPOOL_POOL_WORKER_ACCEPT_H
#define FCGIPOOL_POOL_WORKER_ACCEPT_H

#include <stdbool.h>
#include <sys/socket.h>

/* True when `fd` is the listener; a number that nobody has told of is looked at. */
bool accept_sees(int fd);

/* As accept4, or accept when `flags` is negative. */
int accept_connection(int fd, struct sockaddr *address, socklen_t *length, int flags);

#endif
