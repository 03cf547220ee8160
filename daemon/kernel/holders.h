/* Who listens at an address: for a person who is told that it is in use. */
#ifndef FCGIPOOL_DAEMON_KERNEL_HOLDERS_H
#define FCGIPOOL_DAEMON_KERNEL_HOLDERS_H

#include "daemon/kernel/address.h"

#include <stddef.h>

/* Writes "12, 15 and 3 more": the pids that have a listening socket bound to `address`; "" when none can be
 * seen. Reads all of /proc: not for a master that serves. */
void holders_text(const struct address *address, char *ret_text, size_t size);

#endif
