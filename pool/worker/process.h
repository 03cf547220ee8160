/*
 * This process, as the library sees it: whether it belongs to a pool, and where its pages are.
 * Everything here is inert until there is a page (process.page): the constructor has found it, or a host was
 * forked (process_attach). Both only where descriptor 0 is the pool's listener.
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
    bool hosted;      /* a host counts and times requests by itself; see hosted.h */
    bool masks;       /* some thread holds the drain's signal, or has; see drain.h */
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

/* Attaches the library to the pages behind the descriptors, if they are ours and descriptor 0 is their
 * listener; else it stays inert. */
void process_attach(int page, int pool);

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

/* Let the signal of the drain through in this thread, or hold it. errno is preserved. */
void process_let_signal(void);
void process_hold_signal(void);

/* Whether this thread holds it by itself: one that was started by such a thread has its mask, but not this.
 */
extern PROCESS_THREAD bool process_held;

/* Of a mask that the program sets, or NULL, what is to be set: the bit of our signal is ours. `changed` has
 * room for another one. */
const sigset_t *process_change_mask(const sigset_t *mask, sigset_t *changed);

static inline const sigset_t *process_own_mask(int how, const sigset_t *mask, sigset_t *changed)
{
    uint64_t bits;
    if (!mask || !process.page)
        return mask;
    __builtin_memcpy(&bits, mask, sizeof bits);
    bool has = (bits & PROCESS_SIGNAL_BIT) != 0;
    return PROCESS_LIKELY(has == (how == SIG_SETMASK && process_held)) ? mask
                                                                       : process_change_mask(mask, changed);
}

/* Lets it through for the start of a program, which would inherit that it is held. Returns true when it was,
 * and is to be held again. */
bool process_free_signal(void);

/* Holds it for a moment. Returns true when it was let through, and is to be again. */
bool process_catch_signal(void);

/* True when `fd` is the listener, by its inode. Async-signal-safe. */
bool process_is_listener(int fd);

#endif
