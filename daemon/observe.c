/* Looking at workers and the queue from outside; see observe.h. */
#include "daemon/observe.h"

#include "daemon/base/clock.h"
#include "daemon/kernel/look.h"
#include "daemon/master.h"

#include <stdlib.h>

/* A starting worker is looked at after a quarter of its age, within these bounds. */
#define START_LOOK_MIN_MS 1
#define START_LOOK_MAX_MS 50
/* Where /proc cannot be read, a worker that has lived so long is taken to serve. */
#define START_BLIND_MS 1000
/* A TCP handshake may still put a connection into an empty queue: it has to be seen empty twice, this far
 * apart. */
#define QUEUE_LOOK_MS   10
#define TCP_EMPTY_LOOKS 2

static void run_again(struct ev_loop *loop, ev_timer *timer, int64_t after_ms)
{
    ev_timer_stop(loop, timer);
    ev_timer_set(timer, (double)after_ms / 1000.0, 0.0);
    ev_timer_start(loop, timer);
}

/* ---- starting workers ---- */

static bool serves(const struct master *master, struct look *look, uint32_t slot, int64_t age_ms)
{
    bool unreadable;
    return look_serves(look, master->workers[slot].pid, &unreadable) ||
           (unreadable && age_ms >= START_BLIND_MS);
}

static void on_look_starts(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct master *master = timer->data;
    int64_t next_ms = START_LOOK_MAX_MS;
    bool any = false;
    __attribute__((cleanup(look_fini))) struct look look = {.listener = &master->listener};
    (void)events;
    for (uint32_t i = 0; i < master->policy.slot_count; i++) {
        const struct slot *slot = &master->policy.slots[i];
        if (slot->state != SLOT_STARTING || !master->workers[i].pid)
            continue;
        int64_t age_ms = clock_now_ms() - slot->spawned_ms;
        if (serves(master, &look, i, age_ms)) {
            log_info("worker %u pid %ld serves after %lld ms", i, (long)master->workers[i].pid,
                     (long long)age_ms);
            master_event(master, EVENT_READY, i, 0);
            continue;
        }
        any = true;
        if (age_ms / 4 < next_ms)
            next_ms = age_ms / 4;
    }
    if (any)
        run_again(loop, timer, next_ms > START_LOOK_MIN_MS ? next_ms : START_LOOK_MIN_MS);
}

void observe_starts(struct master *master)
{
    run_again(master->loop, &master->look_starts, START_LOOK_MIN_MS);
}

/* ---- retiring workers ---- */

static void on_look_retired(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct master *master = timer->data;
    uint32_t slot_count = master->policy.slot_count;
    size_t count = 0;
    (void)events;
    struct retirement **retirements = malloc(slot_count * sizeof(struct retirement *));
    for (uint32_t i = 0; retirements && i < slot_count; i++)
        if (master->policy.slots[i].state == SLOT_RETIRING && master->workers[i].pid)
            retirements[count++] = &master->workers[i].retirement;
    int next_ms = retirements ? retire_tick(retirements, count, &master->listener, clock_now_ms()) : 1;
    free(retirements);
    if (next_ms >= 0)
        run_again(loop, timer, next_ms);
}

void observe_retired(struct master *master)
{
    run_again(master->loop, &master->look_retired, 0);
}

/* ---- the queue ---- */

static void look_queue(struct master *master, unsigned looks_needed)
{
    uint32_t queued, limit;
    if (listener_is_empty(&master->listener))
        master->queue_empty_looks++;
    else
        master->queue_empty_looks = 0;
    if (listener_queue(&master->listener, &queued, &limit) == 0 && queued > 0)
        master_event(master, EVENT_QUEUE_WAITING, 0, 0);
    if (master->queue_empty_looks >= looks_needed)
        master_event(master, EVENT_QUEUE_EMPTY, 0, 0);
}

static bool is_unix(const struct master *master)
{
    return master->listener.address.storage.ss_family == AF_UNIX;
}

static void on_look_queue(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct master *master = timer->data;
    (void)events;
    look_queue(master, is_unix(master) ? 1 : TCP_EMPTY_LOOKS);
    if (master->policy.draining)
        run_again(loop, timer, QUEUE_LOOK_MS);
}

void observe_queue(struct master *master)
{
    master->queue_empty_looks = 0;
    run_again(master->loop, &master->look_queue, 0);
}

void observe_exits(struct master *master)
{
    if (master->policy.draining && is_unix(master))
        look_queue(master, 1);
}

/* ---- all ---- */

static void init_timer(struct master *master, ev_timer *timer,
                       void (*callback)(struct ev_loop *, ev_timer *, int))
{
    ev_init(timer, callback);
    timer->data = master;
}

void observe_init(struct master *master)
{
    init_timer(master, &master->look_starts, on_look_starts);
    init_timer(master, &master->look_retired, on_look_retired);
    init_timer(master, &master->look_queue, on_look_queue);
}

void observe_stop(struct master *master)
{
    ev_timer_stop(master->loop, &master->look_starts);
    ev_timer_stop(master->loop, &master->look_retired);
    ev_timer_stop(master->loop, &master->look_queue);
}
