/*
 * Waking the master, by the futex of the pool's page: no descriptor that an application could close.
 */
#ifndef FCGIPOOL_POOL_WORKER_WAKE_H
#define FCGIPOOL_POOL_WORKER_WAKE_H

#include "pool/page.h"

#include <stdint.h>

/* Wakes it, armed or not. Preserves errno; async-signal-safe. */
void wake_master(enum page_wake news);

/* Wakes it if it is armed for one of these (bits of enum page_wake) and nobody else does. */
void wake_if(uint32_t wanted);

#endif
