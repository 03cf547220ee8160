/* Leading workers out; see retirements.h. */
#include "daemon/retirements.h"

#include "daemon/base/clock.h"
#include "daemon/base/memory.h"
#include "daemon/kernel/look.h"
#include "daemon/master.h"
#include "daemon/reap.h"
#include "daemon/requests.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Workers wake the master when they are free to go; looks between are for those that need to be told twice.
 */
#define DRAIN_LOOK_MS 20

/* To those who wait for a connection, or for a request on a kept one, and to nobody else of the group. */
static void wake(const struct page_view *view)
{
    for (uint32_t i = 0; i < view->acceptor_count; i++)
        if (view->acceptors[i].waiting)
            (void)syscall(SYS_tgkill, view->acceptors[i].pid, view->acceptors[i].tid, PAGE_DRAIN_SIGNAL);
    for (uint32_t i = 0; i < view->connection_count; i++)
        if (view->connections[i].state == PAGE_KEPT)
            (void)syscall(SYS_tgkill, view->connections[i].pid, view->connections[i].tid, PAGE_DRAIN_SIGNAL);
}

/* Whether somebody of the group has a connection in hand, seen by the library or not. */
static bool holds_connections(const struct worker *worker)
{
    __attribute__((cleanup(look_fini))) struct look look = {.listener = worker->listener};
    struct look_hold hold;
    look_once(&look);
    return look_holds(&look, worker->pid, true, &hold) > 0;
}

/* Returns whether it goes on by its page. */
static bool drain(struct master *master, uint32_t slot, int64_t now_ms)
{
    struct worker *worker = &master->workers[slot];
    struct page_view view;
    if (!worker_tells(worker) || worker->headless || worker->retirement.phase == RETIREMENT_HALT)
        return false;
    bool before = worker->drain.given_up;
    requests_read(worker, &view);
    switch (drain_look(&worker->drain, &view.scan, now_ms)) {
    case DRAIN_WAIT:
        break;
    case DRAIN_WAKE:
        wake(&view);
        break;
    case DRAIN_END:
        if (!holds_connections(worker))
            (void)kill(-worker->pid, SIGTERM);
        break;
    case DRAIN_GIVE_UP:
        if (!before)
            log_info("worker %u pid %ld does not leave by itself: it is watched from outside", slot,
                     (long)worker->pid);
        return false;
    }
    return true;
}

/* ---- groups without a leader ---- */

static bool has_ended(const struct worker *worker)
{
    return kill(-worker->pid, 0) != 0 && errno == ESRCH;
}

static void bury_group(struct master *master, uint32_t slot)
{
    log_info("worker %u: who was left of the group of pid %ld has gone", slot,
             (long)master->workers[slot].pid);
    reap_worker(master, slot, EXIT_CAUSE_CLEAN);
}

bool retirements_go_on(struct master *master, uint32_t slot)
{
    struct worker *worker = &master->workers[slot];
    if (master->policy.slots[slot].state != SLOT_RETIRING || !holds_connections(worker))
        return false;
    worker->headless = true;
    worker->retirement = (struct retirement){.group = worker->pid, .headless = true};
    log_info("worker %u pid %ld has left, and others of its group have requests in hand", slot,
             (long)worker->pid);
    retirements_start(master);
    return true;
}

/* ---- all ---- */

static int soonest(int a_ms, int b_ms)
{
    return a_ms < 0 ? b_ms : b_ms < 0 ? a_ms : a_ms < b_ms ? a_ms : b_ms;
}

/* Those who accept from one listener: to be looked at by the kernel way. */
static int tick(const struct bound *bound, struct worker *const *unseen, size_t unseen_count, int64_t now_ms)
{
    size_t count = 0;
    struct retirement **retirements = memory_must(calloc(unseen_count, sizeof(struct retirement *)));
    for (size_t i = 0; i < unseen_count; i++)
        if (unseen[i]->listener == &bound->listener)
            retirements[count++] = &unseen[i]->retirement;
    int next_ms = count ? retire_tick(retirements, count, &bound->listener, now_ms) : -1;
    free(retirements);
    return next_ms;
}

static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct master *master = timer->data;
    int64_t now_ms = clock_now_ms();
    size_t count = 0;
    int next_ms = -1;
    (void)events;
    struct worker **unseen = memory_must(calloc(master->policy.slot_count, sizeof(struct worker *)));
    for (uint32_t i = 0; i < master->policy.slot_count; i++) {
        struct worker *worker = &master->workers[i];
        if (worker->headless && has_ended(worker)) {
            bury_group(master, i);
            continue;
        }
        if (master->policy.slots[i].state != SLOT_RETIRING || !worker->pid)
            continue;
        if (drain(master, i, now_ms))
            next_ms = DRAIN_LOOK_MS;
        else
            unseen[count++] = worker;
    }
    for (const struct bound *bound = NULL; count && (bound = listeners_next(&master->listeners, bound));)
        next_ms = soonest(next_ms, tick(bound, unseen, count, now_ms));
    free(unseen);
    if (next_ms >= 0) {
        ev_timer_set(timer, next_ms / 1000.0, 0.0);
        ev_timer_start(loop, timer);
    }
}

void retirements_init(struct master *master)
{
    ev_init(&master->look_retired, on_look);
    master->look_retired.data = master;
}

void retirements_start(struct master *master)
{
    retirements_stop(master);
    ev_timer_set(&master->look_retired, 0.0, 0.0);
    ev_timer_start(master->loop, &master->look_retired);
}

void retirements_stop(struct master *master)
{
    ev_timer_stop(master->loop, &master->look_retired);
}
