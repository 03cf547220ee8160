/*
 * The functions that the library stands in front of, as they are behind it: another preloaded library's, a
 * sanitizer's, or libc's. Use NEXT(name)(arguments), or FOUND(name)(arguments) where the constructor is known
 * to have been.
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
#define NEXT_NAME(name) __typeof__(&name) next_##name;
#include "pool/worker/next.def"
#undef NEXT_NAME
};

extern struct next next_table;

/* Looks all of them up. Called by the constructor, because looking up is nothing for a signal handler or the
 * child of a fork; and by NEXT, for calls that come before the constructor. */
void next_find(void);

#define NEXT(name)                                                                                           \
    (__builtin_expect(!next_table.next_##name, 0) ? next_find() : (void)0, next_table.next_##name)

#define FOUND(name) (next_table.next_##name)

#endif
