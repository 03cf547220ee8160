/*
 * Ending one connection of a worker from outside, without a word of the worker's being believed: the socket
 * is fetched out of the process and looked at, and shut only if it is a connection that came in at our
 * listener. The worker then reads the end of its input, as if the client had gone.
 */
#ifndef FCGIPOOL_DAEMON_KERNEL_HANGUP_H
#define FCGIPOOL_DAEMON_KERNEL_HANGUP_H

#include "daemon/kernel/address.h"

#include <stdbool.h>
#include <sys/types.h>

/* Whether it is still the connection that was meant; asked when the socket is already in our hands, so that a
 * descriptor that was closed and used again since is left alone. */
typedef bool hangup_still_fn(void *context);

/* Shuts descriptor `fd` of `pid`, a member of the worker's process group `group`, both ways. `listener` is
 * the address that it must have come in at, as bound. `still` may be NULL. Returns 0, -ESRCH (no such
 * process in the group), -EBADF (no such descriptor), -ENOENT (not a connection of ours, or not the one any
 * more), -EBUSY (the worker has not read what the client has sent), -EPERM or -ENOSYS (the kernel does not
 * let us, or cannot), or another -errno. */
__attribute__((warn_unused_result)) int hangup_connection(const struct address *listener, pid_t group,
                                                          pid_t pid, int fd, hangup_still_fn *still,
                                                          void *context);

#endif
