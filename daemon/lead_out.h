/*
 * Leading a worker out by its page, once that tells it to drain: what the page shows of its living processes,
 * what is to be done by it (pool/drain.h), and the signals that this asks for.
 */
#ifndef FCGIPOOL_DAEMON_LEAD_OUT_H
#define FCGIPOOL_DAEMON_LEAD_OUT_H

#include "daemon/kernel/listener.h"
#include "pool/drain.h"

#include <sys/types.h>

/* Reads a page, and leaves out what it tells of processes that are not of the `group`, or have ended. With
 * `leader_lives` that one is taken to live, without a look at /proc. */
void lead_out_read(const struct page *page, pid_t group, bool leader_lives, struct page_view *ret_view);

/* One step; returns which. Nobody gets a signal in whose hands a request is. */
enum drain_step lead_out(struct drain *drain, const struct page *page, pid_t group,
                         const struct listener *listener, int64_t now_ms);

/* Whether somebody of the group has a connection of the listener in hand, told of or not. */
bool lead_out_holds(pid_t group, const struct listener *listener);

#endif
