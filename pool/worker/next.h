/*
 * The functions that the library stands in front of, as they are behind it: another preloaded library's, a
 * sanitizer's, or libc's. Use NEXT(name)(arguments).
 */
#ifndef FCGIPOOL_POOL_WORKER_NEXT_H
#define FCGIPOOL_POOL_WORKER_NEXT_H

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

struct next {
#define NEXT_NAME(name, type, parameters, arguments) __typeof__(&name) next_##name;
#include "pool/worker/next.def"
};

extern struct next next_table;

/* Looks all of them up. Called by the constructor, because looking up is nothing for a signal handler or the
 * child of a fork; and by the first NEXT of those that come before the constructor. */
void next_find(void);

#define NEXT(name) (next_table.next_##name)

#endif
