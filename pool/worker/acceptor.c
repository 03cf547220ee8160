/* The acceptors of a page; see acceptor.h. */
#include "pool/worker/acceptor.h"

#include "pool/worker/hot.h"
#include "pool/worker/process.h"
#include "pool/worker/wake.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

static PROCESS_THREAD struct page_acceptor *mine;
static PROCESS_THREAD int32_t *idle; /* the pool's, unless this thread found no row */

/* For a thread that found none. It must not count in the pool, where nobody could take its part back when it
 * is killed; and is never the last one that waits, which is for those who count to say. */
static PROCESS_THREAD struct page_acceptor spare;
static int32_t spare_idle = 1 << 30;

/* True when nobody can own the row any more. */
static bool is_stale(const struct page_acceptor *row, pid_t tid)
{
    if (row->pid != process.pid)
        return syscall(SYS_kill, row->pid, 0) < 0 && errno == ESRCH;
    return row->tid == tid || (syscall(SYS_tgkill, row->pid, row->tid, 0) < 0 && errno == ESRCH);
}

/* The i-th row that is to be taken: first one of each cache line, so that those who write to theirs at every
 * accept stay out of each other's. */
static size_t spread(size_t i)
{
    const size_t lines = sizeof process.page->acceptors / PAGE_LINE;
    return i % lines * (PAGE_ACCEPTORS / lines) + i / lines;
}

/* A free row, or NULL; those of the dead count as free only when `sweep`. */
static struct page_acceptor *take_place(pid_t tid, bool sweep)
{
    const struct page_acceptor own = {.pid = process.pid, .tid = tid};
    for (size_t i = 0; i < PAGE_ACCEPTORS; i++) {
        struct page_acceptor *row = &process.page->acceptors[spread(i)], seen;
        // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a row of a mapped page
        seen.owner = __atomic_load_n(&row->owner, __ATOMIC_SEQ_CST);
        if ((seen.pid == 0 || (sweep && is_stale(&seen, tid))) &&
            __atomic_compare_exchange_n(&row->owner, &seen.owner, own.owner, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST))
            return row;
    }
    return NULL;
}

/* Who owned the row may have died while it waited. */
static void end_wait(struct page_acceptor *row)
{
    if (__atomic_exchange_n(&row->waiting, 0, __ATOMIC_SEQ_CST) == 1)
        (void)__atomic_sub_fetch(&process.pool->idle, 1, __ATOMIC_SEQ_CST);
}

void acceptor_unlisted(void)
{
    __atomic_add_fetch(&process.page->report.unlisted, 1, __ATOMIC_SEQ_CST);
}

static void begin(void)
{
    int error = errno;
    pid_t tid = process_tid();
    struct page_acceptor *row = take_place(tid, false);
    if (!row)
        row = take_place(tid, true);
    if (row) {
        end_wait(row);
        idle = &process.pool->idle;
    } else {
        acceptor_unlisted();
        row = &spare;
        idle = &spare_idle;
    }
    mine = row;
    errno = error;
}

/* Out of line, for the many times when there is nothing to do. */
static __attribute__((noinline)) void enter_first(void)
{
    bool first = !process.accepted && process_accepts();
    process_let_signal();
    begin();
    if (process.masks)
        process_hold_signal(); /* until it waits */
    if (first)
        wake_master(PAGE_WAKE_ACCEPTS);
}

void acceptor_enter(void)
{
    if (PROCESS_UNLIKELY(!mine))
        enter_first();
}

HOT int acceptor_leave(void)
{
    __atomic_store_n(&mine->waiting, 0, __ATOMIC_RELEASE);
    int left = __atomic_sub_fetch(idle, 1, __ATOMIC_SEQ_CST);
    if (PROCESS_UNLIKELY(left < __atomic_load_n(&process.pool->idle_low, __ATOMIC_RELAXED)))
        __atomic_store_n(&process.pool->idle_low, left, __ATOMIC_RELAXED);
    /* As in acceptor_wait: if the master saw this thread wait after it had set `drain`, that is seen here. */
    if (PROCESS_UNLIKELY(process.masks || __atomic_load_n(&process.page->orders.drain, __ATOMIC_SEQ_CST)))
        process_hold_signal();
    return left;
}

HOT bool acceptor_wait(void)
{
    /* The flag first and the look after it: the master sets `drain` and looks at the flag after that, so one
     * of the two sees the other. What stands between keeps them in order. */
    __atomic_store_n(&mine->waiting, 1, __ATOMIC_RELEASE);
    __atomic_add_fetch(idle, 1, __ATOMIC_SEQ_CST);
    if (PROCESS_UNLIKELY(__atomic_load_n(&process.page->orders.drain, __ATOMIC_SEQ_CST))) {
        (void)acceptor_leave();
        return false;
    }
    if (PROCESS_UNLIKELY(process.masks))
        process_let_signal();
    return true;
}

void acceptor_forked(void)
{
    mine = NULL;
}

void acceptor_forget(pid_t pid)
{
    for (size_t i = 0; i < PAGE_ACCEPTORS; i++) {
        struct page_acceptor *row = &process.page->acceptors[i];
        if (row->pid != pid)
            continue;
        end_wait(row);
        __atomic_store_n(&row->owner, 0, __ATOMIC_SEQ_CST);
    }
}
