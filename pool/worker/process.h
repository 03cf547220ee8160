/*
 * This process, as the library sees it: whether it belongs to a pool, and where its pages are.
 * Everything here is inert until the constructor has found a page (process.page), which it does only where
 * descriptor 0 is the pool's listener.
 */
#ifndef FCGIPOOL_POOL_WORKER_PROCESS_H
#define FCGIPOOL_POOL_WORKER_PROCESS_H

#include "pool/page.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct process {
    struct page *page; /* NULL: the library is inert */
    struct page_pool *pool;
    pid_t pid;
    pid_t parent;     /* that forked this process, with the library attached; 0: it was exec'ed */
    bool accepted;    /* came to its first accept */
    bool nonblocking; /* asked for O_NONBLOCK on the listener itself */
    bool masks;       /* the drain's signal is held but where it may come; see drain.h */
};

extern struct process process;

/* Thread-local data of a library that is loaded at start: no call into the dynamic linker. */
#define PROCESS_THREAD __thread __attribute__((tls_model("initial-exec")))

#define PROCESS_LIKELY(condition)   __builtin_expect(!!(condition), 1)
#define PROCESS_UNLIKELY(condition) __builtin_expect(!!(condition), 0)

/* The kernel's id of this thread. Async-signal-safe. */
extern PROCESS_THREAD pid_t process_thread; /* 0: not asked for yet */
pid_t process_ask_tid(void);

static inline pid_t process_tid(void)
{
    return PROCESS_LIKELY(process_thread) ? process_thread : process_ask_tid();
}

/* The process is about to accept, for the first time (process.accepted is false): it has proved to be the
 * worker, so descriptors and environment are cleaned for its children. True when no process of the worker has
 * before: the master is to be told. */
bool process_accepts(void);

/* CLOCK_MONOTONIC in nanoseconds; and as of the kernel's last tick, some milliseconds ago, for a quarter of
 * the price. */
uint64_t process_now(void);
uint64_t process_tick(void);

/* In a set of signals, as the kernel has them, and at the front of libc's. */
#define PROCESS_SIGNAL_BIT ((uint64_t)1 << (PAGE_DRAIN_SIGNAL - 1))

/* Whether the signal of the drain is masked in this thread. errno is preserved. */
void process_let_signal(void);
void process_hold_signal(void);

/* From here on it is held in this thread, and in all others when they have something in hand. */
void process_masks_signal(void);

/* The program sets a mask of its own, or NULL. If the signal is held in it, it has to be let through wherever
 * it may come. */
static inline void process_notes_mask(int how, const sigset_t *set)
{
    uint64_t bits = 0;
    if (set)
        __builtin_memcpy(&bits, set, sizeof bits);
    if (PROCESS_UNLIKELY(bits & PROCESS_SIGNAL_BIT) && how != SIG_UNBLOCK)
        __atomic_store_n(&process.masks, true, __ATOMIC_SEQ_CST);
}

/* Lets it through for the start of a program, which would inherit that it is held. Returns true when it was,
 * and is to be held again. */
bool process_free_signal(void);

/* Holds it for a moment. Returns true when it was let through, and is to be again. */
bool process_catch_signal(void);

/* True when `fd` is the listener, by its inode. Async-signal-safe. */
bool process_is_listener(int fd);

#endif
