/*
 * What stands in the way of every request lies side by side: after a worker has waited, its code and its
 * addresses have to be fetched again, by the line and by the page, and that takes longer than what it does.
 */
#ifndef FCGIPOOL_POOL_WORKER_HOT_H
#define FCGIPOOL_POOL_WORKER_HOT_H

#define HOT __attribute__((hot))

#endif
