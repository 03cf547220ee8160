/* What a page tells of processes that live, and belong to the worker. */
#ifndef FCGIPOOL_DAEMON_ROWS_H
#define FCGIPOOL_DAEMON_ROWS_H

#include "pool/page_read.h"

#include <sys/types.h>

/* As page_read, without the rows of processes that are not of the `group`, or have ended. With `leader_lives`
 * (nobody has heard of its end) that one is not looked up in /proc. */
void rows_read(const struct page *page, pid_t group, bool leader_lives, struct page_view *ret_view);

#endif
