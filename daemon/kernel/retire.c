/*
 * Stop, inspect, kill. Why it loses nothing: accept installs its descriptor before a stop takes effect, so a
 * group whose threads have all stopped either shows the connection or has not taken it. Nobody escapes the
 * stop: a fork that was under way hands the pending SIGSTOP to the child, which has run nothing and holds
 * what its parent holds.
 *
 * Who holds a connection is not stopped: after SIGCONT some system calls fail with EINTR. But under full load
 * a worker is without one for some microseconds only, between two requests, and a look from another processor
 * is too old when the stop arrives. So while connections wait in the queue, a worker is watched from the only
 * processor that it may use: as long as the master runs there the worker does not, and what the master sees
 * is still so when it stops it.
 */
#include "daemon/kernel/retire.h"

#include "daemon/base/clock.h"
#include "daemon/kernel/look.h"
#include "pool/assert.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A group that has not stopped by then runs again, to be looked at later. */
#define HALT_LIMIT_MS 50
/* Most groups stop within microseconds; a tick waits so long for them, the rest is for the next one. */
#define HALT_WAIT_NS 300000
#define TICK_MS      1
/* Looks at the watched workers in a tick, and the pauses between, in which they run. */
#define WATCH_LOOKS    30
#define WATCH_PAUSE_NS 20000
#define WATCHED_MAX    8
/* A worker without a connection that does not wait for one either works on something that is no request's;
 * after this time it is not waited for. */
#define FREE_LIMIT_MS 1000

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

static bool leader_ended(const struct retirement *r)
{
    return !r->headless && proc_ended(r->group);
}

/* --- running workers: whom to halt --- */

/* `count` connections were seen, one of them `hold`. */
static void see_connections(struct retirement *r, int count, const struct look_hold *hold, int64_t now_ms)
{
    struct look_hold only = count == 1 ? *hold : (struct look_hold){.pid = 0};
    if (only.inode != r->hold.inode)
        r->busy = 0;
    r->hold = only;
    r->free_since_ms = 0;
    see_busy(r, now_ms);
}

/* No connection was seen. Looks take a while, so the last word before the stop is on connections again. */
static void see_free(struct retirement *r, struct look *look, int64_t now_ms)
{
    struct look_hold hold;
    bool unreadable;
    r->hold.pid = 0;
    if (r->free_since_ms == 0)
        r->free_since_ms = now_ms;
    bool idle = look_waits(look, r->group, &unreadable) || unreadable;
    if ((idle || now_ms - r->free_since_ms >= FREE_LIMIT_MS) && look_holds(look, r->group, true, &hold) == 0)
        halt(r, now_ms);
    else
        see_busy(r, now_ms);
}

static void look_at(struct retirement *r, struct look *look, int64_t now_ms)
{
    struct look_hold hold;
    int count;
    look_once(look);
    if (leader_ended(r))
        finish(r);
    else if ((count = look_holds(look, r->group, true, &hold)) > 0)
        see_connections(r, count, &hold, now_ms);
    else if (count == 0)
        see_free(r, look, now_ms);
    else
        see_busy(r, now_ms);
}

static void look_at_running(struct retirement *const *retirements, size_t count, struct look *look,
                            int64_t now_ms)
{
    for (size_t i = 0; i < count; i++)
        if (retirements[i]->phase == RETIREMENT_LOOK && retirements[i]->due_ms <= now_ms)
            look_at(retirements[i], look, now_ms);
}

/* Confines the worker to a processor. False when it has several threads or may not use that one. */
static bool confine(struct retirement *r, int processor)
{
    cpu_set_t only;
    if (proc_threads(r->hold.pid) != 1)
        return false;
    if (!r->confined && sched_getaffinity(r->hold.pid, sizeof r->processors, &r->processors) != 0)
        return false;
    CPU_ZERO(&only);
    CPU_SET(processor, &only);
    /* One that is bound to another one, as by cpu_affinity, comes over for the moment. */
    bool may = CPU_ISSET(processor, &r->processors) || CPU_COUNT(&r->processors) == 1;
    r->confined = may && sched_setaffinity(r->hold.pid, sizeof only, &only) == 0;
    return r->confined;
}

/* Collects those who have one request each, at the leader, and are confined to our processor. */
static size_t choose_watched(struct retirement *const *retirements, size_t count, int processor,
                             struct retirement *ret_watched[WATCHED_MAX])
{
    size_t watched = 0;
    for (size_t i = 0; i < count && watched < WATCHED_MAX; i++)
        if (retirements[i]->phase == RETIREMENT_LOOK && retirements[i]->hold.pid == retirements[i]->group &&
            confine(retirements[i], processor))
            ret_watched[watched++] = retirements[i];
    return watched;
}

/* Whether the request has ended and no next one has begun, which would take the vacant descriptor. */
static bool is_between_requests(const struct retirement *r)
{
    uint64_t inode;
    return proc_socket(r->hold.pid, r->hold.pid, (uint64_t)r->hold.fd, &inode) == -ESRCH;
}

static void watch_closely(struct retirement *const *watched, size_t count, int64_t now_ms)
{
    const struct timespec pause = {.tv_nsec = WATCH_PAUSE_NS};
    for (int look = 0; look < WATCH_LOOKS; look++) {
        for (size_t i = 0; i < count; i++) {
            if (is_between_requests(watched[i])) {
                halt(watched[i], now_ms);
                return;
            }
        }
        nanosleep(&pause, NULL);
    }
}

/* Returns whether there was somebody to watch. */
static bool watch(struct retirement *const *retirements, size_t count, const struct listener *listener,
                  int64_t now_ms)
{
    struct retirement *watched[WATCHED_MAX];
    cpu_set_t ours, only;
    if (listener_queued(listener) == 0 || sched_getaffinity(0, sizeof ours, &ours) != 0)
        return false;
    int processor = sched_getcpu();
    CPU_ZERO(&only);
    CPU_SET(processor, &only);
    size_t watched_count = choose_watched(retirements, count, processor, watched);
    if (watched_count == 0 || sched_setaffinity(0, sizeof only, &only) != 0)
        return false;
    /* The usual slack of 50 us would make the pauses thrice as long. */
    (void)prctl(PR_SET_TIMERSLACK, 1UL);
    watch_closely(watched, watched_count, now_ms);
    (void)prctl(PR_SET_TIMERSLACK, 0UL);
    (void)sched_setaffinity(0, sizeof ours, &ours);
    return true;
}

/* --- halted workers: whom to end --- */

/* Whether the leader has stopped. One that is no child of ours, as a former master's, is asked in /proc. */
static bool leader_stopped(const struct retirement *r)
{
    siginfo_t info = {.si_pid = 0};
    enum proc_state state;
    if (waitid(P_PID, (id_t)r->group, &info, WSTOPPED | WEXITED | WNOHANG | WNOWAIT) == 0)
        return info.si_pid != 0;
    return proc_state(r->group, &state) != 0 || state != PROC_RUNNING;
}

static void wait_for_leaders(struct retirement *const *retirements, size_t count)
{
    int64_t end_ns = clock_now_ns() + HALT_WAIT_NS;
    for (size_t i = 0; i < count; i++)
        while (retirements[i]->phase == RETIREMENT_HALT && !leader_stopped(retirements[i]) &&
               clock_now_ns() < end_ns)
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
    struct look_hold hold = {.pid = 0};
    if (leader_ended(r)) {
        finish(r);
    } else if (!r->halted) {
        r->due_ms = now_ms + TICK_MS;
        if (now_ms - r->halted_at_ms >= HALT_LIMIT_MS) {
            resume(r);
            see_busy(r, now_ms);
        }
    } else {
        int count = look_holds(look, r->group, true, &hold);
        if (count == 0) {
            finish(r);
        } else {
            resume(r);
            see_connections(r, count, &hold, now_ms);
        }
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
    bool watched = watch(retirements, count, listener, now_ms);
    inspect_halted(retirements, count, &look, now_ms);
    int delay_ms = next_delay(retirements, count, now_ms);
    return watched && delay_ms > TICK_MS ? TICK_MS : delay_ms;
}

bool retire_hold(struct retirement *retirement, const struct listener *listener)
{
    __attribute__((cleanup(look_fini))) struct look look = {.listener = listener};
    struct look_hold hold;
    halt(retirement, clock_now_ms());
    if (retirement->phase != RETIREMENT_HALT)
        return false;
    wait_for_leaders(&retirement, 1);
    look_at_processes(&look);
    bool halted = group_halted(retirement->group, &look);
    look_at_connections(&look);
    if (halted && look_holds(&look, retirement->group, true, &hold) == 0)
        return true;
    resume(retirement);
    return false;
}

void retire_cancel(struct retirement *retirement)
{
    if (retirement->confined)
        (void)sched_setaffinity(retirement->group, sizeof retirement->processors, &retirement->processors);
    if (retirement->phase == RETIREMENT_HALT)
        resume(retirement);
}
