/*
 * A lock for the few instructions where two threads meet. Who waits yields: no futex, no allocation, and a
 * signal handler may take it if the code that it interrupts never holds it.
 */
#ifndef FCGIPOOL_POOL_WORKER_LOCK_H
#define FCGIPOOL_POOL_WORKER_LOCK_H

#include <sched.h>
#include <stdbool.h>

/* Out of line, since hardly anybody waits. */
static __attribute__((noinline, unused)) void lock_wait(bool *lock)
{
    do
        sched_yield();
    while (__atomic_test_and_set(lock, __ATOMIC_ACQUIRE));
}

static inline void lock_take(bool *lock)
{
    if (__builtin_expect(__atomic_test_and_set(lock, __ATOMIC_ACQUIRE), 0))
        lock_wait(lock);
}

static inline void lock_drop(bool *lock)
{
    __atomic_clear(lock, __ATOMIC_RELEASE);
}

#endif
