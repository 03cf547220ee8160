/* Leading workers out; see retirements.h. */
#include "daemon/retirements.h"

#include "daemon/base/clock.h"
#include "daemon/base/memory.h"
#include "daemon/lead_out.h"
#include "daemon/master.h"
#include "daemon/reap.h"

#include <errno.h>
#include <signal.h>

/* Workers wake the master when they are free to go; looks between are for those that need to be told twice.
 */
#define DRAIN_LOOK_MS 20

/* Returns whether it goes on by its page. */
static bool drain(struct master *master, uint32_t slot, int64_t now_ms)
{
    struct worker *worker = &master->workers[slot];
    if (!worker_tells(worker) || worker->headless || worker->retirement.phase == RETIREMENT_HALT)
        return false;
    bool before = worker->drain.given_up;
    if (lead_out(&worker->drain, worker->page, worker->pid, worker->listener, now_ms) != DRAIN_GIVE_UP)
        return true;
    if (!before)
        log_info("worker %u pid %ld does not leave by itself: it is watched from outside", slot,
                 (long)worker->pid);
    return false;
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
    if (master->policy.slots[slot].state != SLOT_RETIRING ||
        lead_out_holds(worker->pid, worker->listener) <= 0)
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
