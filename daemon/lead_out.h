/*
 * Leading a worker out by its page, once that tells it to drain: what is to be done by what it shows
 * (pool/drain.h), and the signals that this asks for.
 */
#ifndef FCGIPOOL_DAEMON_LEAD_OUT_H
#define FCGIPOOL_DAEMON_LEAD_OUT_H

#include "daemon/kernel/listener.h"
#include "pool/drain.h"

#include <sys/types.h>

/* One step; returns which. Nobody gets a signal in whose hands a request is. `page` is as it was after the
 * order to drain was written: who waits from then on can know of it. */
enum drain_step lead_out(struct drain *drain, const struct page *page, pid_t group,
                         const struct listener *listener, int64_t now_ms);

/* How many connections of the listener the group has in hand, told of or not; or -errno. */
__attribute__((warn_unused_result)) int lead_out_holds(pid_t group, const struct listener *listener);

#endif
