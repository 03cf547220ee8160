/* Looking at workers and the queue from outside; see observe.h. */
#include "daemon/observe.h"

#include "daemon/base/clock.h"
#include "daemon/kernel/look.h"
#include "daemon/kernel/retire.h"
#include "daemon/master.h"

#include <unistd.h>

/* A starting worker is looked at after a quarter of its age, within these bounds. */
#define START_LOOK_MIN_MS 1
#define START_LOOK_MAX_MS 50
/* Until then only its first process is looked at, and only whether that waits: to find the others, and what
 * they hold, all of /proc is read. Whoever has loaded the library will tell by itself, unless it was a
 * wrapper of a program that cannot. */
#define START_ALONE_MS        10
#define START_ALONE_LOADED_MS 1000
/* Where /proc cannot be read, a worker that has lived so long is taken to serve. */
#define START_BLIND_MS 1000
/* A TCP handshake may still put a connection into an empty queue: it has to be seen empty twice, this far
 * apart. */
#define QUEUE_LOOK_MS        10
#define TCP_EMPTY_LOOKS      2
#define QUEUE_LOOK_PAUSED_MS 1000

static void run_again(struct ev_loop *loop, ev_timer *timer, int64_t after_ms)
{
    ev_timer_stop(loop, timer);
    ev_timer_set(timer, (double)after_ms / 1000.0, 0.0);
    ev_timer_start(loop, timer);
}

/* ---- starting workers ---- */

/* Whether who accepted is the worker's own, and not a process that it has sent into the background, where
 * nobody looks after it. */
static bool serves_by_page(const struct worker *worker)
{
    struct page_view view;
    if (!worker_tells(worker))
        return false;
    requests_read(worker, &view);
    return view.acceptor_count > 0 || view.connection_count > 0;
}

/* Said once in the log, and of each worker in status. */
static void note_unseen(struct master *master, uint32_t slot)
{
    const struct worker *worker = &master->workers[slot];
    if (!worker->page || worker_has_loaded(worker) || master->unseen_said)
        return;
    master->unseen_said = true;
    log_warning("worker %u pid %ld does not load " PAGES_LIBRARY " (a static or setuid program, or Go): such "
                "workers %s",
                slot, (long)worker->pid,
                worker->must_tell ? "do not count as serving, for \"observe\" is \"preload\""
                                  : "are observed from outside, and neither their requests nor "
                                    "max_requests, timeout and slowlog are seen to");
}

/* Not so long that the start would time out. */
static int64_t alone_ms(const struct master *master, const struct worker *worker)
{
    int64_t limit_ms = master->settings.start_timeout_ms;
    if (!worker_has_loaded(worker))
        return START_ALONE_MS;
    return limit_ms && limit_ms / 4 < START_ALONE_LOADED_MS ? limit_ms / 4 : START_ALONE_LOADED_MS;
}

static bool serves(struct master *master, struct look *look, uint32_t slot, int64_t age_ms)
{
    const struct worker *worker = &master->workers[slot];
    bool unreadable;
    if (worker_tells(worker))
        return serves_by_page(worker);
    bool serves = age_ms < alone_ms(master, worker) ? look_process_waits(look, worker->pid, &unreadable)
                                                    : look_serves(look, worker->pid, &unreadable);
    serves = serves || (unreadable && age_ms >= START_BLIND_MS);
    if (serves && worker->must_tell)
        note_unseen(master, slot);
    return serves && !worker->must_tell;
}

static void report_ready(struct master *master, uint32_t slot, int64_t age_ms)
{
    output_read(master->workers[slot].output);
    log_info("worker %u pid %ld serves after %lld ms", slot, (long)master->workers[slot].pid,
             (long long)age_ms);
    note_unseen(master, slot);
    master_event(master, EVENT_READY, slot, 0);
    hooks_worker(master, SETTING_ID_HOOK_WORKER_READY, slot, NULL);
    load_ready(master, slot);
}

/* Those who are to accept from one listener. Returns when to look again, NEVER_MS: all have come to it. */
static int64_t look_at_starts(struct master *master, const struct listener *listener)
{
    int64_t next_ms = NEVER_MS;
    __attribute__((cleanup(look_fini))) struct look look = {.listener = listener};
    for (uint32_t i = 0; i < master->policy.slot_count; i++) {
        const struct slot *slot = &master->policy.slots[i];
        if (slot->state != SLOT_STARTING || master->workers[i].listener != listener)
            continue;
        int64_t age_ms = clock_now_ms() - master->workers[i].began_ms;
        if (serves(master, &look, i, age_ms))
            report_ready(master, i, age_ms);
        else if (age_ms / 4 < next_ms)
            next_ms = age_ms / 4;
    }
    return next_ms;
}

static int64_t look_at_all_starts(struct master *master)
{
    int64_t next_ms = NEVER_MS;
    for (const struct bound *bound = NULL; (bound = listeners_next(&master->listeners, bound));) {
        int64_t look_ms = look_at_starts(master, &bound->listener);
        next_ms = look_ms < next_ms ? look_ms : next_ms;
    }
    return next_ms;
}

static void on_look_starts(struct ev_loop *loop, ev_timer *timer, int events)
{
    int64_t next_ms = look_at_all_starts(timer->data);
    (void)events;
    if (next_ms == NEVER_MS)
        return;
    next_ms = next_ms < START_LOOK_MAX_MS ? next_ms : START_LOOK_MAX_MS;
    run_again(loop, timer, next_ms > START_LOOK_MIN_MS ? next_ms : START_LOOK_MIN_MS);
}

void observe_starts(struct master *master)
{
    run_again(master->loop, &master->look_starts, START_LOOK_MIN_MS);
}

/* One that comes to accept from now on, and is ended for it was too late, would take a connection along. */
static void hold_late(struct master *master, uint32_t slot)
{
    struct worker *worker = &master->workers[slot];
    __attribute__((cleanup(look_fini))) struct look look = {.listener = worker->listener};
    int64_t age_ms = clock_now_ms() - worker->began_ms;
    worker->retirement = (struct retirement){.group = worker->pid};
    if (retire_hold(&worker->retirement, worker->listener))
        return;
    worker->retirement = (struct retirement){0};
    if (serves(master, &look, slot, age_ms))
        report_ready(master, slot, age_ms);
}

static bool is_late(const struct master *master, uint32_t slot, int64_t now_ms)
{
    const struct slot *about = &master->policy.slots[slot];
    return about->state == SLOT_STARTING && about->deadline_ms <= now_ms && master->workers[slot].pid;
}

void observe_starts_in_time(struct master *master)
{
    int64_t now_ms = clock_now_ms();
    if (policy_count(&master->policy, SLOT_STARTING) == 0)
        return;
    (void)look_at_all_starts(master);
    for (uint32_t i = 0; i < master->policy.slot_count; i++)
        if (is_late(master, i, now_ms) && !master->workers[i].must_tell)
            hold_late(master, i);
}

void observe_starts_now(struct master *master)
{
    run_again(master->loop, &master->look_starts, 0);
}

/* ---- the queue ---- */

static bool is_unix(const struct bound *bound)
{
    return bound->listener.address.storage.ss_family == AF_UNIX;
}

/* One that refuses, and in which something may wait. */
static bool is_to_drain(const struct bound *bound)
{
    return bound->listener.refused_ms && !bound->drained;
}

static bool any_to_drain(const struct master *master)
{
    if (master->policy.state >= POOL_STOPPING && !master->policy.draining)
        return false;
    for (const struct bound *bound = NULL; (bound = listeners_next(&master->listeners, bound));)
        if (is_to_drain(bound))
            return true;
    return false;
}

/* What the library does when accept fails is known; another program may leave with requests in its hand. */
static bool may_end(const struct master *master, const struct bound *bound)
{
    for (uint32_t i = 0; i < master->policy.slot_count; i++)
        if (master->workers[i].pid && master->workers[i].listener == &bound->listener &&
            !worker_tells(&master->workers[i]))
            return false;
    return bound->listener.fd >= 0 && master->policy.state < POOL_STOPPING;
}

static void look_queue(struct master *master, struct bound *bound)
{
    bound->empty_looks = listener_is_empty(&bound->listener) ? bound->empty_looks + 1 : 0;
    if (listener_queued(&bound->listener) > 0)
        master_event(master, EVENT_QUEUE_WAITING, 0, (int64_t)bound->place);
    bound->drained = bound->empty_looks >= (is_unix(bound) ? 1 : TCP_EMPTY_LOOKS);
    if (!bound->drained || (master->policy.draining && !any_to_drain(master)))
        return;
    master_event(master, EVENT_DRAINED, 0, (int64_t)bound->place);
    if (may_end(master, bound))
        listener_end(&bound->listener);
}

static void look_queues(struct master *master, bool unix_only)
{
    for (struct bound *bound = NULL; (bound = listeners_next(&master->listeners, bound));)
        if (is_to_drain(bound) && (is_unix(bound) || !unix_only))
            look_queue(master, bound);
    if (master->policy.draining && !any_to_drain(master))
        master_event(master, EVENT_QUEUE_EMPTY, 0, 0);
}

/* Nobody takes anything out of a queue in a pause. */
static int64_t queue_look_ms(const struct master *master)
{
    return master->policy.resting && !master->policy.draining ? QUEUE_LOOK_PAUSED_MS : QUEUE_LOOK_MS;
}

static void on_look_queue(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct master *master = timer->data;
    (void)events;
    look_queues(master, false);
    if (any_to_drain(master))
        run_again(loop, timer, queue_look_ms(master));
}

void observe_queue(struct master *master)
{
    run_again(master->loop, &master->look_queue, 0);
}

/* A worker may serve and be gone before anybody looks. */
void observe_last(struct master *master, uint32_t slot)
{
    const struct slot *state = &master->policy.slots[slot];
    const struct worker *worker = &master->workers[slot];
    if (state->state == SLOT_STARTING && (serves_by_page(worker) || worker_requests(worker) > 0))
        report_ready(master, slot, clock_now_ms() - state->spawned_ms);
}

void observe_exits(struct master *master)
{
    if (any_to_drain(master))
        look_queues(master, true);
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
    init_timer(master, &master->look_queue, on_look_queue);
}

void observe_stop(struct master *master)
{
    ev_timer_stop(master->loop, &master->look_starts);
    ev_timer_stop(master->loop, &master->look_queue);
}
