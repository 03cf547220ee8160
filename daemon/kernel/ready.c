/* Does a worker serve? See ready.h. */
#include "daemon/kernel/ready.h"

#include "daemon/kernel/look.h"

#include <errno.h>
#include <sys/syscall.h>

enum wait { WAIT_NO, WAIT_ACCEPT, WAIT_READY };

/* Not every architecture has every call: aarch64 knows only the p-forms. */
static enum wait wait_of(long number)
{
    static const struct {
        long number;
        enum wait wait;
    } waits[] = {
        {SYS_accept4, WAIT_ACCEPT},     {SYS_ppoll, WAIT_READY},
        {SYS_pselect6, WAIT_READY},     {SYS_epoll_pwait, WAIT_READY},
#ifdef SYS_accept
        {SYS_accept, WAIT_ACCEPT},
#endif
#ifdef SYS_poll
        {SYS_poll, WAIT_READY},
#endif
#ifdef SYS_select
        {SYS_select, WAIT_READY},
#endif
#ifdef SYS__newselect
        {SYS__newselect, WAIT_READY},
#endif
#ifdef SYS_epoll_wait
        {SYS_epoll_wait, WAIT_READY},
#endif
#ifdef SYS_epoll_pwait2
        {SYS_epoll_pwait2, WAIT_READY},
#endif
    };
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++)
        if (waits[i].number == number)
            return waits[i].wait;
    return WAIT_NO;
}

struct readiness {
    const struct listener *listener;
    bool unreadable;
};

/* Returns 1, which ends the walk, when the thread waits for connections. */
static int see_thread(pid_t pid, pid_t thread, void *context)
{
    struct readiness *readiness = context;
    struct proc_call call = {.number = -1};
    uint64_t inode = 0;
    int error = proc_thread_call(pid, thread, &call);
    enum wait wait = error == 0 ? wait_of(call.number) : WAIT_NO;
    if (wait == WAIT_ACCEPT)
        error = proc_socket(pid, thread, call.first, &inode);
    if (error == -EACCES)
        readiness->unreadable = true;
    return wait == WAIT_READY || (wait == WAIT_ACCEPT && error == 0 && inode == readiness->listener->inode);
}

bool ready_accepting(pid_t group, const struct listener *listener, bool *ret_unreadable)
{
    __attribute__((cleanup(look_fini))) struct look look = {.listener = listener};
    struct readiness readiness = {.listener = listener};
    *ret_unreadable = false;
    if (proc_each_thread(group, see_thread, &readiness) > 0)
        return true;

    const struct proc_entry *members;
    look_at_processes(&look);
    size_t count = proc_table_group(&look.processes, group, &members);
    for (size_t i = 0; i < count; i++)
        if (members[i].pid != group && proc_each_thread(members[i].pid, see_thread, &readiness) > 0)
            return true;

    uint64_t inode;
    look_at_connections(&look);
    int holds = look_holds(&look, group, false, &inode);
    *ret_unreadable = holds <= 0 && (readiness.unreadable || holds == -EACCES);
    return holds > 0;
}
