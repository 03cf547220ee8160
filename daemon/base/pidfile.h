/* The file that holds the master's pid while it runs. */
#ifndef FCGIPOOL_DAEMON_BASE_PIDFILE_H
#define FCGIPOOL_DAEMON_BASE_PIDFILE_H

#include "daemon/base/problem.h"

#include <sys/types.h>

/* Writes our pid to `path` by way of a temporary file beside it, so that nobody reads half of it and no link
 * is followed. Returns 0, or -errno with the reason in `problem`. */
__attribute__((warn_unused_result)) int pidfile_write(const char *path, struct problem *problem);

/* Puts our file at `from` in the place of the one at `path`. Likewise. */
__attribute__((warn_unused_result)) int pidfile_move(const char *from, const char *path,
                                                     struct problem *problem);

/* Removes `path` if it still holds this pid. */
void pidfile_remove(const char *path, pid_t pid);

#endif
