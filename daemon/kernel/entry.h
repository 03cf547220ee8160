/*
 * The entry of a TCP listener: who is let in, and when. Accepted connections inherit the filter; it keeps
 * whole what comes from their clients, who are allowed, or they would not be connected, and they send no SYN.
 */
#ifndef FCGIPOOL_DAEMON_KERNEL_ENTRY_H
#define FCGIPOOL_DAEMON_KERNEL_ENTRY_H

#include "daemon/base/problem.h"
#include "daemon/kernel/listener.h"

/* `defer` and `clients` of the options, from now on; before bind() and listen() nobody slips in. Returns 0,
 * or -errno with the reason, and the clients are those of before. */
__attribute__((warn_unused_result)) int entry_set(const struct listener_options *options,
                                                  struct listener *listener, struct problem *problem);

/* Nobody is let in from now on. Returns 0 or -errno. */
int entry_close(const struct listener *listener);

#endif
