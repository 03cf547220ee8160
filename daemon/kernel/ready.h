/* The kernel way of seeing that a worker serves. */
#ifndef FCGIPOOL_DAEMON_KERNEL_READY_H
#define FCGIPOOL_DAEMON_KERNEL_READY_H

#include "daemon/kernel/listener.h"

#include <stdbool.h>
#include <sys/types.h>

/* True when the worker serves: a thread of its group waits for connections (accept on the listener; poll,
 * select or epoll on anything) or holds an accepted one. The worker has exec'ed, as spawn_process promises;
 * until then its descriptors would be the master's. `ret_unreadable` is set to whether the answer is false
 * because /proc does not let us look. */
bool ready_accepting(pid_t group, const struct listener *listener, bool *ret_unreadable);

#endif
