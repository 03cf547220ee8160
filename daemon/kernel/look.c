/* One look at the machine; see look.h. */
#include "daemon/kernel/look.h"

#include <errno.h>
#include <sys/syscall.h>

void look_fini(struct look *look)
{
    proc_table_fini(&look->processes);
    diag_set_fini(&look->accepted);
}

void look_at_processes(struct look *look)
{
    look->failure = proc_table_read(&look->processes);
}

void look_at_connections(struct look *look)
{
    if (look->failure == 0)
        look->failure = diag_accepted(&look->listener->address, &look->accepted);
}

void look_once(struct look *look)
{
    if (look->taken)
        return;
    look->taken = true;
    look_at_processes(look);
    look_at_connections(look);
}

/* --- who holds a connection --- */

struct search {
    const struct look *look;
    pid_t group;
    bool exact;
    int count;
    struct look_hold hold;
};

/* Counts accepted connections. Returns 0 or -errno. */
static int see_socket(pid_t pid, int fd, uint64_t inode, void *context)
{
    struct search *search = context;
    const struct listener *listener = search->look->listener;
    bool accepted = false;
    if (inode == listener->inode)
        return 0;
    if (diag_set_has(&search->look->accepted, inode)) {
        accepted = true;
    } else if (search->exact && listener->address.storage.ss_family == AF_UNIX) {
        int error = diag_unix_accepted(&listener->address, inode, &accepted);
        if (error != 0 && error != -ENOENT)
            return error;
    }
    if (accepted) {
        search->count += inode != search->hold.inode;
        if (search->hold.pid != search->group)
            search->hold = (struct look_hold){.pid = pid, .fd = fd, .inode = inode};
    }
    return 0;
}

int look_holds(const struct look *look, pid_t group, bool exact, struct look_hold *ret_hold)
{
    struct search search = {.look = look, .group = group, .exact = exact};
    const struct proc_entry *members;
    size_t count = proc_table_group(&look->processes, group, &members);
    if (look->failure != 0)
        return look->failure;
    int error = count == 0 ? -EACCES : 0;
    for (size_t i = 0; i < count && error == 0; i++)
        error = proc_each_socket(members[i].pid, see_socket, &search);
    if (error != 0)
        return error;
    if (search.count > 0)
        *ret_hold = search.hold;
    return search.count;
}

/* --- who waits for one --- */

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

bool look_process_waits(const struct look *look, pid_t pid, bool *ret_unreadable)
{
    struct readiness readiness = {.listener = look->listener};
    bool waits = proc_each_thread(pid, see_thread, &readiness) > 0;
    *ret_unreadable = !waits && readiness.unreadable;
    return waits;
}

bool look_waits(struct look *look, pid_t group, bool *ret_unreadable)
{
    const struct proc_entry *members;
    bool unreadable;
    if (look_process_waits(look, group, ret_unreadable))
        return true;
    look_once(look);
    size_t count = proc_table_group(&look->processes, group, &members);
    for (size_t i = 0; i < count; i++) {
        if (members[i].pid == group)
            continue;
        if (look_process_waits(look, members[i].pid, &unreadable)) {
            *ret_unreadable = false;
            return true;
        }
        *ret_unreadable = *ret_unreadable || unreadable;
    }
    return false;
}

bool look_serves(struct look *look, pid_t group, bool *ret_unreadable)
{
    struct look_hold hold;
    if (look_waits(look, group, ret_unreadable))
        return true;
    look_once(look);
    int holds = look_holds(look, group, false, &hold);
    *ret_unreadable = holds <= 0 && (*ret_unreadable || holds == -EACCES);
    return holds > 0;
}
