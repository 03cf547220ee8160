/* Whether it is worth trying to accept again. */
#ifndef FCGIPOOL_POOL_WORKER_HOST_PATIENCE_H
#define FCGIPOOL_POOL_WORKER_HOST_PATIENCE_H

#include <stdbool.h>

/* accept has failed with `error`: true when the next one may go well, after a pause where descriptors or
 * memory have run out, or where somebody has made the listener non-blocking; false when there is nothing to
 * be accepted any more. */
bool patience_has(int error);

#endif
