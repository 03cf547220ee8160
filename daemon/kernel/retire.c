/*
 * Stop, inspect, kill. Why it loses nothing: accept installs its descriptor before a stop takes effect, so a
 * group whose threads have all stopped either shows the connection or has not taken it. Nobody escapes the
 * stop: a fork that was under way hands the pending SIGSTOP to the child, which has run nothing and holds
 * what its parent holds.
 */
#include "daemon/kernel/retire.h"

#include "daemon/kernel/diag.h"
#include "daemon/kernel/proc.h"
#include "pool/assert.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HALT_LIMIT_MS 50
#define HALT_DELAY_MS 1

/* One look at the machine, for all retirements of a tick. */
struct look {
    const struct listener *listener;
    struct proc_table processes;
    struct diag_set accepted;
    bool exact; /* ask for each socket that the dump did not have */
    bool blind; /* the dump failed: nobody counts as idle */
};

static void look_cleanup(struct look *look)
{
    proc_table_fini(&look->processes);
    diag_set_fini(&look->accepted);
}

/* --- who holds a connection --- */

/* Returns 1 for an accepted connection, 0 for another socket, or -errno. */
static int see_socket(uint64_t inode, void *context)
{
    const struct look *look = context;
    bool accepted = false;
    if (inode == look->listener->inode)
        return 0;
    if (diag_set_has(&look->accepted, inode))
        return 1;
    if (!look->exact || look->listener->address.storage.ss_family != AF_UNIX)
        return 0;
    int error = diag_unix_accepted(&look->listener->address, inode, &accepted);
    return error == 0 ? accepted : error == -ENOENT ? 0 : error;
}

/* Returns 1 when a member of the group holds a connection, 0 when none does, or -errno (-EACCES also when
 * /proc hides the members). */
static int group_holds(pid_t group, struct look *look)
{
    const struct proc_entry *members;
    size_t count = proc_table_group(&look->processes, group, &members);
    int result = count == 0 ? -EACCES : 0;
    for (size_t i = 0; i < count && result == 0; i++)
        result = proc_each_socket(members[i].pid, see_socket, look);
    return result;
}

static bool is_idle(pid_t group, struct look *look)
{
    return !look->blind && group_holds(group, look) == 0;
}

static bool group_halted(pid_t group, const struct look *look)
{
    const struct proc_entry *members;
    size_t count = proc_table_group(&look->processes, group, &members);
    for (size_t i = 0; i < count; i++) {
        enum proc_state state;
        if (proc_state(members[i].pid, &state) != 0 || state == PROC_RUNNING)
            return false;
    }
    return count > 0;
}

/* --- one retirement --- */

static void see_busy(struct retirement *r, int64_t now_ms)
{
    static const int delays_ms[] = {1, 2, 5, 10};
    const unsigned last = sizeof delays_ms / sizeof *delays_ms - 1;
    r->due_ms = now_ms + delays_ms[r->busy < last ? r->busy : last];
    r->busy++;
}

static void finish(struct retirement *r)
{
    (void)kill(-r->group, SIGKILL);
    r->phase = RETIREMENT_DONE;
}

static void resume(struct retirement *r)
{
    (void)kill(-r->group, SIGCONT);
    r->phase = RETIREMENT_LOOK;
}

static void inspect(struct retirement *r, struct look *look, int64_t now_ms)
{
    if (proc_ended(r->group) || (r->halted && is_idle(r->group, look))) {
        finish(r);
    } else if (!r->halted && now_ms - r->halted_at_ms < HALT_LIMIT_MS) {
        r->due_ms = now_ms + HALT_DELAY_MS;
    } else {
        resume(r);
        see_busy(r, now_ms);
    }
}

static void look_at(struct retirement *r, struct look *look, int64_t now_ms)
{
    if (proc_ended(r->group)) {
        finish(r);
    } else if (!is_idle(r->group, look) || kill(-r->group, SIGSTOP) != 0) {
        see_busy(r, now_ms);
    } else {
        r->phase = RETIREMENT_HALT;
        r->halted_at_ms = now_ms;
        r->due_ms = now_ms + HALT_DELAY_MS;
        r->busy = 0;
    }
}

static bool is_due(const struct retirement *r, int64_t now_ms)
{
    return r->phase != RETIREMENT_DONE && r->due_ms <= now_ms;
}

static int next_delay(struct retirement *const *retirements, size_t count, int64_t now_ms)
{
    int64_t delay_ms = -1;
    for (size_t i = 0; i < count; i++) {
        int64_t left_ms = retirements[i]->due_ms - now_ms;
        if (retirements[i]->phase != RETIREMENT_DONE && (delay_ms < 0 || left_ms < delay_ms))
            delay_ms = left_ms > 1 ? left_ms : 1;
    }
    return (int)delay_ms;
}

/* The order is what makes the kill safe: members first, then that all of them have stopped, and only then
 * which connections there are. */
static void take_look(struct retirement *const *retirements, size_t count, struct look *look, int64_t now_ms)
{
    look->blind = proc_table_read(&look->processes) != 0;
    for (size_t i = 0; i < count; i++) {
        struct retirement *r = retirements[i];
        if (r->phase == RETIREMENT_HALT && is_due(r, now_ms))
            r->halted = !look->blind && group_halted(r->group, look);
    }
    look->blind = look->blind || diag_accepted(&look->listener->address, &look->accepted) != 0;
}

int retire_tick(struct retirement *const *retirements, size_t count, const struct listener *listener,
                int64_t now_ms)
{
    __attribute__((cleanup(look_cleanup))) struct look look = {.listener = listener};
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        ASSERT(retirements[i]->group > 1);
        any = any || is_due(retirements[i], now_ms);
    }
    if (!any)
        return next_delay(retirements, count, now_ms);

    take_look(retirements, count, &look, now_ms);
    for (size_t i = 0; i < count; i++) {
        if (!is_due(retirements[i], now_ms))
            continue;
        look.exact = retirements[i]->phase == RETIREMENT_HALT;
        if (look.exact)
            inspect(retirements[i], &look, now_ms);
        else
            look_at(retirements[i], &look, now_ms);
    }
    return next_delay(retirements, count, now_ms);
}

void retire_cancel(struct retirement *retirement)
{
    if (retirement->phase == RETIREMENT_HALT)
        resume(retirement);
}

/* --- readiness --- */

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

bool retire_accepting(pid_t group, const struct listener *listener, bool *ret_unreadable)
{
    __attribute__((cleanup(look_cleanup))) struct look look = {.listener = listener};
    struct readiness readiness = {.listener = listener};
    *ret_unreadable = false;
    if (proc_each_thread(group, see_thread, &readiness) > 0)
        return true;

    const struct proc_entry *members;
    if (proc_table_read(&look.processes) != 0)
        return false;
    size_t count = proc_table_group(&look.processes, group, &members);
    for (size_t i = 0; i < count; i++)
        if (members[i].pid != group && proc_each_thread(members[i].pid, see_thread, &readiness) > 0)
            return true;

    int holds = diag_accepted(&listener->address, &look.accepted) == 0 ? group_holds(group, &look) : 0;
    *ret_unreadable = holds <= 0 && (readiness.unreadable || holds == -EACCES);
    return holds > 0;
}
