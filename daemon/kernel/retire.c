/*
 * Stop, inspect, kill. Why it loses nothing: accept installs its descriptor before a stop takes effect, so a
 * group whose threads have all stopped either shows the connection or has not taken it. Nobody escapes the
 * stop: a fork that was under way hands the pending SIGSTOP to the child, which has run nothing and holds
 * what its parent holds.
 *
 * A worker under full load is without a connection for some microseconds between two requests, too short to
 * be looked at first. So one that goes from request to request is stopped on the chance, over and over.
 */
#include "daemon/kernel/retire.h"

#include "daemon/kernel/look.h"
#include "pool/assert.h"

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A group that has not stopped by then runs again, to be looked at later. */
#define HALT_LIMIT_MS 50
/* Most groups stop within microseconds; a tick waits so long for them, the rest is for the next one. */
#define HALT_WAIT_NS 300000
/* A request that began within this time makes a worker one that goes from request to request. */
#define PRESS_MS 20
#define TICK_MS  1

/* --- one retirement --- */

static void see_busy(struct retirement *r, int64_t now_ms)
{
    static const int delays_ms[] = {1, 2, 5, 10};
    const unsigned last = sizeof delays_ms / sizeof *delays_ms - 1;
    r->phase = RETIREMENT_LOOK;
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

static void halt(struct retirement *r, int64_t now_ms)
{
    if (kill(-r->group, SIGSTOP) != 0) {
        see_busy(r, now_ms);
        return;
    }
    r->phase = RETIREMENT_HALT;
    r->halted_at_ms = now_ms;
    r->due_ms = now_ms + TICK_MS;
}

static bool is_due(const struct retirement *r, enum retirement_phase phase, int64_t now_ms)
{
    return r->phase == phase && r->due_ms <= now_ms;
}

/* --- running workers: whom to halt --- */

static int is_held(uint64_t inode, void *context)
{
    const struct retirement *r = context;
    return inode == r->held;
}

/* The worker holds a connection: the same as before, or a new one. */
static void see_connection(struct retirement *r, uint64_t inode, int64_t now_ms)
{
    if (r->held != 0 && inode != r->held) {
        r->pressed_until_ms = now_ms + PRESS_MS;
        r->busy = 0;
    }
    r->held = inode;
    if (now_ms < r->pressed_until_ms)
        halt(r, now_ms);
    else
        see_busy(r, now_ms);
}

static void look_at(struct retirement *r, const struct look *look, int64_t now_ms)
{
    uint64_t inode = 0;
    int holds = proc_ended(r->group) ? 0 : look_holds(look, r->group, false, &inode);
    if (proc_ended(r->group))
        finish(r);
    else if (holds == 0)
        halt(r, now_ms);
    else if (holds > 0)
        see_connection(r, inode, now_ms);
    else
        see_busy(r, now_ms);
}

/* Most looks find a worker at the request at which the last one found it: that needs no look at the machine.
 */
static void look_at_running(struct retirement *const *retirements, size_t count, struct look *look,
                            int64_t now_ms)
{
    bool taken = false;
    for (size_t i = 0; i < count; i++) {
        struct retirement *r = retirements[i];
        if (!is_due(r, RETIREMENT_LOOK, now_ms))
            continue;
        if (r->held != 0 && proc_each_socket(r->group, is_held, r) > 0) {
            see_connection(r, r->held, now_ms);
            continue;
        }
        if (!taken) {
            look_at_processes(look);
            look_at_connections(look);
            taken = true;
        }
        look_at(r, look, now_ms);
    }
}

/* --- halted workers: whom to end --- */

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Whether the leader has stopped, or is no child of ours that could be asked. */
static bool leader_stopped(const struct retirement *r)
{
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)r->group, &info, WSTOPPED | WEXITED | WNOHANG | WNOWAIT) != 0 ||
           info.si_pid != 0;
}

static void wait_for_leaders(struct retirement *const *retirements, size_t count)
{
    int64_t end_ns = now_ns() + HALT_WAIT_NS;
    for (size_t i = 0; i < count; i++)
        while (retirements[i]->phase == RETIREMENT_HALT && !leader_stopped(retirements[i]) &&
               now_ns() < end_ns)
            sched_yield();
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

static void inspect(struct retirement *r, const struct look *look, int64_t now_ms)
{
    uint64_t inode = 0;
    if (proc_ended(r->group)) {
        finish(r);
    } else if (!r->halted) {
        r->due_ms = now_ms + TICK_MS;
        if (now_ms - r->halted_at_ms >= HALT_LIMIT_MS) {
            resume(r);
            see_busy(r, now_ms);
        }
    } else if (look_holds(look, r->group, true, &inode) == 0) {
        finish(r);
    } else {
        resume(r);
        r->due_ms = now_ms + TICK_MS;
    }
}

/* The order is what makes the kill safe: members first, then that all of them have stopped, and only then
 * which connections there are. */
static void inspect_halted(struct retirement *const *retirements, size_t count, struct look *look,
                           int64_t now_ms)
{
    bool any = false;
    for (size_t i = 0; i < count; i++)
        any = any || retirements[i]->phase == RETIREMENT_HALT;
    if (!any)
        return;
    wait_for_leaders(retirements, count);
    look_at_processes(look);
    for (size_t i = 0; i < count; i++)
        retirements[i]->halted =
            retirements[i]->phase == RETIREMENT_HALT && group_halted(retirements[i]->group, look);
    look_at_connections(look);
    for (size_t i = 0; i < count; i++)
        if (retirements[i]->phase == RETIREMENT_HALT)
            inspect(retirements[i], look, now_ms);
}

/* --- all --- */

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

int retire_tick(struct retirement *const *retirements, size_t count, const struct listener *listener,
                int64_t now_ms)
{
    __attribute__((cleanup(look_fini))) struct look look = {.listener = listener};
    for (size_t i = 0; i < count; i++)
        ASSERT(retirements[i]->group > 1);
    look_at_running(retirements, count, &look, now_ms);
    inspect_halted(retirements, count, &look, now_ms);
    return next_delay(retirements, count, now_ms);
}

void retire_cancel(struct retirement *retirement)
{
    if (retirement->phase == RETIREMENT_HALT)
        resume(retirement);
}
