/*
 * PATH.lock, a file beside a unix socket's path: held (flock) as long as the master lives who made the
 * socket, with its pid inside for people. It alone says whether a master lives: workers that outlived theirs
 * keep the socket answering.
 */
#ifndef FCGIPOOL_DAEMON_KERNEL_PATH_LOCK_H
#define FCGIPOOL_DAEMON_KERNEL_PATH_LOCK_H

#include "daemon/base/problem.h"

#include <stdbool.h>

/* Takes the lock of `path`, which fits a unix socket's address. `ret_fresh`: there was no lock file, so no
 * master of ours made what is at the path. A lock file that is not ours alone (owner, mode, links) is
 * refused. Returns the descriptor (the lock, to be kept), -EADDRINUSE when it is held, or another -errno,
 * with the reason in `problem`. */
__attribute__((warn_unused_result)) int path_lock_take(const char *path, bool *ret_fresh,
                                                       struct problem *problem);

/* A lock that was taken by another process, whose descriptor this is, is ours from now on: writes our pid. */
void path_lock_sign(int fd);

/* Takes the lock file away, if it is still ours, and closes it. A lock that is closed only stays for the next
 * master to find. */
void path_lock_release(const char *path, int fd);

#endif
