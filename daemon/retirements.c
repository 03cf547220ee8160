/* Leading workers out; see retirements.h. */
#include "daemon/retirements.h"

#include "daemon/base/clock.h"
#include "daemon/base/memory.h"
#include "daemon/master.h"
#include "daemon/requests.h"

#include <signal.h>

/* Workers wake the master when they are free to go; looks between are for those that need to be told twice.
 */
#define DRAIN_LOOK_MS 20

static void signal_group(const struct worker *worker, int number)
{
    (void)kill(-worker->pid, number);
}

/* Returns whether it goes on by its page. */
static bool drain(struct worker *worker, uint32_t slot, int64_t now_ms)
{
    struct page_view view;
    if (!worker_tells(worker) || worker->retirement.phase == RETIREMENT_HALT)
        return false;
    bool before = worker->drain.given_up;
    requests_read(worker, &view);
    switch (drain_look(&worker->drain, &view.scan, now_ms)) {
    case DRAIN_WAIT:
        break;
    case DRAIN_WAKE:
        signal_group(worker, PAGE_DRAIN_SIGNAL);
        break;
    case DRAIN_END:
        signal_group(worker, SIGTERM);
        break;
    case DRAIN_GIVE_UP:
        if (!before)
            log_info("worker %u pid %ld does not leave by itself: it is watched from outside", slot,
                     (long)worker->pid);
        return false;
    }
    return true;
}

static int soonest(int a_ms, int b_ms)
{
    return a_ms < 0 ? b_ms : b_ms < 0 ? a_ms : a_ms < b_ms ? a_ms : b_ms;
}

static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct master *master = timer->data;
    uint32_t slot_count = master->policy.slot_count;
    int64_t now_ms = clock_now_ms();
    size_t count = 0;
    int next_ms = -1;
    (void)events;
    struct retirement **unseen = memory_must(calloc(slot_count, sizeof(struct retirement *)));
    for (uint32_t i = 0; i < slot_count; i++) {
        struct worker *worker = &master->workers[i];
        if (master->policy.slots[i].state != SLOT_RETIRING || !worker->pid)
            continue;
        if (drain(worker, i, now_ms))
            next_ms = DRAIN_LOOK_MS;
        else
            unseen[count++] = &worker->retirement;
    }
    if (count)
        next_ms = soonest(next_ms, retire_tick(unseen, count, &master->listener, now_ms));
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
