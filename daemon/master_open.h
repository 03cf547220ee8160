/* The begin of a master: everything that can fail. */
#ifndef FCGIPOOL_DAEMON_MASTER_OPEN_H
#define FCGIPOOL_DAEMON_MASTER_OPEN_H

#include "daemon/base/problem.h"

struct master;

/* Opens it all, in the order in which nothing of a running master is touched: the control socket's lock comes
 * first, and before it the signals, so that none ends us with half of it made. The listener comes late, for
 * it takes the path of a socket that cannot be taken over from its orphans. Only a pidfile comes after it,
 * unless there are orphans: it may be that of a master who has the address. Returns 0, or -errno with the
 * reason; what is open by then is the master's to close all the same. */
__attribute__((warn_unused_result)) int master_open(struct master *master, struct problem *problem);

#endif
