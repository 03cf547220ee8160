/* A file descriptor that somebody owns. */
#ifndef FCGIPOOL_DAEMON_BASE_FD_H
#define FCGIPOOL_DAEMON_BASE_FD_H

#include <unistd.h>

/* Closes it, if it is open (-1: it is not), which it is not afterwards. For __attribute__((cleanup)), too. */
static inline void fd_close(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

#endif
