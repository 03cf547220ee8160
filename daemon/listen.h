/*
 * The pool's listeners, as the control file wants them.
 */
#ifndef FCGIPOOL_DAEMON_LISTEN_H
#define FCGIPOOL_DAEMON_LISTEN_H

#include "daemon/base/problem.h"

#include <stdint.h>

struct conf;
struct master;

/* Opens it, unless it was passed, or takes it over from a former master. Returns 0 or -errno, as
 * listener_open, with the reason. */
__attribute__((warn_unused_result)) int listen_open(struct master *master, struct problem *problem);

/* New connections are refused from now on, and QUEUE_EMPTY is reported when nothing waits any more. At once,
 * and nothing is refused, where others serve it: the other master of an upgrade, or, of somebody else's
 * socket, who accepts from it next. */
void listen_refuse(struct master *master);

/* Has backlog, mode, owner and who may connect as the settings in effect have them, of a listener that
 * another master has made. Returns 0, or -errno with the reason, and part of them may be in effect. */
__attribute__((warn_unused_result)) int listen_settle(struct master *master, struct problem *problem);

/* Prepares for workers that are started from `conf`: where it has another address than the listeners that
 * there are, one is opened at it. Returns 0 with the place for the policy, or -errno with the reason, and
 * nothing has changed. */
__attribute__((warn_unused_result)) int listen_prepare(struct master *master, const struct conf *conf,
                                                       uint64_t *ret_place, struct problem *problem);

/* Of the listener in effect: has backlog, mode, owner and who may connect as `conf` has them, where that is
 * another thing. Returns 0, or -errno with the reason, and everything is as in the settings that are in
 * effect. */
__attribute__((warn_unused_result)) int listen_adjust(struct master *master, const struct conf *conf,
                                                      struct problem *problem);

#endif
