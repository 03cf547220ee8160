/* The acceptors of a page; see acceptor.h. */
#include "pool/worker/acceptor.h"

#include "pool/worker/process.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

static PROCESS_THREAD struct page_acceptor *mine;
static PROCESS_THREAD struct page_acceptor spare; /* for a thread that found no row: it is not seen */

/* True when nobody can own the row any more. */
static bool is_stale(const struct page_acceptor *row, pid_t pid, pid_t tid)
{
    if (pid != process.pid)
        return syscall(SYS_kill, pid, 0) < 0 && errno == ESRCH;
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a row of a mapped page
    return row->tid == tid || (row->tid && syscall(SYS_tgkill, pid, row->tid, 0) < 0 && errno == ESRCH);
}

/* A free row, or NULL; those of the dead count as free only when `sweep`. */
static struct page_acceptor *take_place(pid_t tid, bool sweep)
{
    for (size_t i = 0; i < PAGE_ACCEPTORS; i++) {
        struct page_acceptor *row = &process.page->acceptors[i];
        int32_t owner = __atomic_load_n(&row->pid, __ATOMIC_SEQ_CST);
        if ((owner == 0 || (sweep && is_stale(row, owner, tid))) &&
            __atomic_compare_exchange_n(&row->pid, &owner, process.pid, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST))
            return row;
    }
    return NULL;
}

static void begin(void)
{
    int error = errno;
    pid_t tid = (pid_t)syscall(SYS_gettid);
    struct page_acceptor *row = take_place(tid, false);
    if (!row)
        row = take_place(tid, true);
    if (!row)
        row = &spare;
    __atomic_store_n(&row->waiting, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&row->tid, tid, __ATOMIC_SEQ_CST);
    mine = row;
    errno = error;
}

void acceptor_enter(void)
{
    if (PROCESS_LIKELY(mine != NULL))
        return;
    if (!process.accepted)
        process_accepts();
    process_hold_signal();
    begin();
}

int acceptor_leave(void)
{
    __atomic_store_n(&mine->waiting, 0, __ATOMIC_RELEASE);
    return __atomic_sub_fetch(&process.pool->idle, 1, __ATOMIC_SEQ_CST);
}

bool acceptor_wait(void)
{
    /* The flag first and the look after it: the master sets `drain` and looks at the flag after that, so one
     * of the two sees the other. What stands between keeps them in order. */
    __atomic_store_n(&mine->waiting, 1, __ATOMIC_RELEASE);
    __atomic_add_fetch(&process.pool->idle, 1, __ATOMIC_SEQ_CST);
    if (PROCESS_UNLIKELY(__atomic_load_n(&process.page->orders.drain, __ATOMIC_SEQ_CST))) {
        (void)acceptor_leave();
        return false;
    }
    process_let_signal();
    return true;
}

void acceptor_signal_others(void)
{
    pid_t self = acceptor_tid();
    for (size_t i = 0; i < PAGE_ACCEPTORS; i++) {
        const struct page_acceptor *row = &process.page->acceptors[i];
        if (__atomic_load_n(&row->pid, __ATOMIC_SEQ_CST) == process.pid && row->tid && row->tid != self)
            syscall(SYS_tgkill, process.pid, row->tid, PAGE_DRAIN_SIGNAL);
    }
}

pid_t acceptor_tid(void)
{
    return mine ? mine->tid : 0;
}

void acceptor_forked(void)
{
    mine = NULL;
}

void acceptor_forget(pid_t pid)
{
    for (size_t i = 0; i < PAGE_ACCEPTORS; i++) {
        if (process.page->acceptors[i].pid == pid)
            __atomic_store_n(&process.page->acceptors[i].pid, 0, __ATOMIC_SEQ_CST);
    }
}
