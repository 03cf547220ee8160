/* Waking the master; see wake.h. */
#include "pool/worker/wake.h"

#include "pool/worker/hot.h"
#include "pool/worker/process.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

void wake_master(enum page_wake news)
{
    int error = errno;
    __atomic_fetch_or(&process.pool->news, news, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&process.pool->wake, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &process.pool->wake, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    errno = error;
}

HOT void wake_if(uint32_t wanted)
{
    /* A look first: the line is shared by the whole pool, and mostly nobody is armed. */
    if (PROCESS_LIKELY(!(__atomic_load_n(&process.pool->armed, __ATOMIC_SEQ_CST) & wanted)))
        return;
    uint32_t taken = __atomic_fetch_and(&process.pool->armed, ~wanted, __ATOMIC_SEQ_CST) & wanted;
    if (taken)
        wake_master(taken);
}
