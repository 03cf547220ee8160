/*
 * write() to a descriptor that may block and whose description is shared with others, so that O_NONBLOCK is
 * not ours to set. That it is ready says little: a terminal is with room for one byte, takes a newline as
 * two, and whoever else writes to it may come first.
 */
#ifndef FCGIPOOL_DAEMON_BASE_BRIEF_WRITE_H
#define FCGIPOOL_DAEMON_BASE_BRIEF_WRITE_H

#include <stddef.h>
#include <sys/types.h>

/* So long it may block. */
#define BRIEF_WRITE_MS 1

/* Returns how much was taken within BRIEF_WRITE_MS, or -1 with errno: EAGAIN without waiting, EINTR
 * after that time. For a process of one thread; SIGALRM and its timer are as before when it returns. */
ssize_t brief_write(int fd, const void *data, size_t length);

#endif
