/* How much the workers have to do; see load.h. */
#include "daemon/load.h"

#include "daemon/base/clock.h"
#include "daemon/base/memory.h"
#include "daemon/kernel/look.h"
#include "daemon/master.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define BLIND_MS 50 /* while workers that nobody sees into may have work, the queue is looked at */
#define LOOK_MS  1000

/* ---- a look ---- */

static uint32_t clamp(int64_t number, int64_t high)
{
    return (uint32_t)(number < 0 ? 0 : number > high ? high : number);
}

/* How many of the serving workers tell of themselves: those that came since the look at all pages are taken
 * to be of the same kinds, unless they are known not to. */
static uint32_t telling(const struct master *master, uint32_t serving)
{
    const struct load_watch *watch = &master->load;
    if (!master->pages.pool)
        return 0;
    uint64_t known = (uint64_t)watch->telling + watch->blind;
    uint64_t likely = known ? (serving * (uint64_t)watch->telling + known - 1) / known : serving;
    return clamp((int64_t)serving - watch->blind, (int64_t)likely);
}

static void see_pages(struct master *master, uint32_t workers, struct load *load)
{
    struct load_watch *watch = &master->load;
    struct page_pool *pool = master->pages.pool;
    uint64_t places = workers;
    if (watch->telling)
        places = ((uint64_t)workers * watch->places + watch->telling - 1) / watch->telling;
    load->places = clamp((int64_t)places, UINT32_MAX);
    int32_t now = pool ? __atomic_load_n(&pool->idle, __ATOMIC_SEQ_CST) : 0;
    int32_t low = pool ? __atomic_exchange_n(&pool->idle_low, now, __ATOMIC_SEQ_CST) : 0;
    /* While there were more or fewer of them, fewer were idle for that alone. */
    load_count(load, now, watch->seen == workers ? low : now);
    load->accepts = pool ? __atomic_load_n(&pool->accepts, __ATOMIC_RELAXED) : 0;
    watch->seen = workers;
}

/* While connections wait, none of those is idle. */
static void see_blind(const struct master *master, uint32_t workers, struct load *load)
{
    uint32_t busy = load->queued ? workers : clamp(master->load.blind_busy, workers);
    load->places += workers;
    load->busy += busy;
    load->peak += busy;
}

static void see(struct master *master, const bool *busy_slots, struct load *ret_load)
{
    struct load_watch *watch = &master->load;
    uint32_t serving = policy_count(&master->policy, SLOT_SERVING);
    uint32_t seen = telling(master, serving);
    *ret_load = (struct load){.workers = serving,
                              .service_us = watch->service_us,
                              .requests = watch->requests,
                              .queued = listeners_queued(&master->listeners),
                              .busy_slots = busy_slots};
    if (ret_load->queued > watch->queue_peak)
        watch->queue_peak = ret_load->queued;
    see_pages(master, seen, ret_load);
    see_blind(master, serving - seen, ret_load);
}

/* ---- when to look again ---- */

static int64_t sooner(int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

/* A connection, even one that waits already, wakes the master once. */
static void await_knock(struct master *master)
{
    struct load_watch *watch = &master->load;
    struct epoll_event event = {.events = EPOLLIN | EPOLLET | EPOLLONESHOT};
    for (const struct bound *bound = NULL; (bound = listeners_next(&master->listeners, bound));)
        if (watch->epoll >= 0 && !bound->listener.refused_ms) /* or it would be ready for ever */
            (void)epoll_ctl(watch->epoll, EPOLL_CTL_MOD, bound->listener.fd, &event);
}

/* False when the last place was taken before that could be noticed. */
static bool await_saturation(struct master *master)
{
    requests_arm(master, PAGE_WAKE_ALL_BUSY);
    return __atomic_load_n(&master->pages.pool->idle, __ATOMIC_SEQ_CST) > 0;
}

static int64_t next_look_ms(struct master *master, struct load *load)
{
    const struct load_watch *watch = &master->load;
    bool knock = load->workers == 0;
    if (!load_is_full(load) && telling(master, load->workers) && !await_saturation(master))
        load->busy = load->places;
    int64_t next_ms = policy_look_ms(&master->policy, load);
    if (watch->blind && !settings_static(&master->settings)) {
        knock = knock || !watch->blind_busy;
        if (watch->blind_busy || load->queued)
            next_ms = sooner(next_ms, BLIND_MS);
    }
    if (knock && !load->queued)
        await_knock(master);
    return next_ms;
}

static void run_after(struct master *master, int64_t ms)
{
    ev_timer_stop(master->loop, &master->load.look);
    if (ms == NEVER_MS)
        return;
    ev_now_update(master->loop);
    ev_timer_set(&master->load.look, (double)ms / 1000.0, 0.0);
    ev_timer_start(master->loop, &master->load.look);
}

/* Unless a look is due sooner. */
static void run_within(struct master *master, int64_t ms)
{
    ev_timer *look = &master->load.look;
    if (!ev_is_active(look) || ev_timer_remaining(master->loop, look) > (double)ms / 1000.0)
        run_after(master, ms);
}

static void look_at(struct master *master, const bool *busy_slots)
{
    struct load load;
    if (!policy_is_open(&master->policy) || master->policy.resting)
        return;
    see(master, busy_slots, &load);
    if (load.queued > 0 || load.peak >= load.places)
        guard_look(master);
    master_load(master, &load);
    run_after(master, next_look_ms(master, &load));
}

/* ---- workers that nobody sees into ---- */

/* Nobody is busy, as far as is known. */
static void forget_busy(struct load_watch *watch, uint32_t slot_count)
{
    if (watch->slot_count < slot_count) {
        watch->busy = memory_must(reallocarray(watch->busy, slot_count, sizeof *watch->busy));
        watch->slot_count = slot_count;
    }
    memset(watch->busy, 0, watch->slot_count * sizeof *watch->busy);
}

static bool is_blind(const struct master *master, uint32_t slot)
{
    return master->policy.slots[slot].state == SLOT_SERVING && !worker_tells(&master->workers[slot]);
}

static void look_at_blind_of(struct master *master, const struct listener *listener)
{
    struct load_watch *watch = &master->load;
    __attribute__((cleanup(look_fini))) struct look look = {.listener = listener};
    bool unreadable;
    for (uint32_t i = 0; i < master->policy.slot_count; i++) {
        if (!is_blind(master, i) || master->workers[i].listener != listener)
            continue;
        watch->blind++;
        watch->busy[i] = !look_waits(&look, master->workers[i].pid, &unreadable) && !unreadable;
        watch->blind_busy += watch->busy[i];
    }
}

static void look_at_blind(struct master *master)
{
    struct load_watch *watch = &master->load;
    forget_busy(watch, master->policy.slot_count);
    watch->blind = watch->blind_busy = 0;
    for (const struct bound *bound = NULL; (bound = listeners_next(&master->listeners, bound));)
        look_at_blind_of(master, &bound->listener);
    watch->blind_ms = clock_now_ms();
}

static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct master *master = timer->data;
    struct load_watch *watch = &master->load;
    (void)loop, (void)events;
    bool due = watch->blind && clock_now_ms() - watch->blind_ms >= LOOK_MS;
    if (due)
        look_at_blind(master);
    look_at(master, due ? watch->busy : NULL);
}

static void on_knock(struct ev_loop *loop, ev_io *knock, int events)
{
    struct master *master = knock->data;
    struct epoll_event event;
    (void)loop, (void)events;
    (void)epoll_wait(master->load.epoll, &event, 1, 0);
    look_at_blind(master);
    look_at(master, master->load.busy);
}

/* ---- all pages ---- */

void load_begin(struct master *master)
{
    struct load_watch *watch = &master->load;
    watch->telling = watch->places = watch->waiting = 0;
    watch->blind = 0;
    forget_busy(watch, master->policy.slot_count);
    for (uint32_t i = 0; i < master->policy.slot_count; i++)
        watch->blind += is_blind(master, i);
}

/* A thread that neither waits nor has a connection is no place, or has gone. */
void load_worker(struct master *master, uint32_t slot, const struct page_scan *scan)
{
    struct load_watch *watch = &master->load;
    uint32_t open = scan->overflow + scan->numbers[PAGE_CONNECTED] + scan->numbers[PAGE_BUSY] +
                    scan->numbers[PAGE_FINISHING] + scan->numbers[PAGE_KEPT];
    uint32_t others = scan->acceptors - scan->waiting;
    uint32_t places = scan->waiting + (others < open ? others : open);
    watch->waiting += scan->waiting;
    if (master->policy.slots[slot].state != SLOT_SERVING)
        return;
    watch->telling++;
    watch->places += places ? places : 1;
    watch->busy[slot] = scan->waiting == 0 && open > 0;
}

static int64_t drift(const struct master *master)
{
    return __atomic_load_n(&master->pages.pool->idle, __ATOMIC_SEQ_CST) - (int64_t)master->load.waiting;
}

void load_sample(struct master *master, uint64_t requests, const struct latency *served)
{
    struct load_watch *watch = &master->load;
    watch->requests = requests;
    watch->service_us = clamp((int64_t)latency_mean(served), UINT32_MAX);
    watch->drift = drift(master);
    look_at(master, watch->blind ? NULL : watch->busy);
}

/* Who died while he came or went has left the count wrong. The same difference twice, while nobody moves, is
 * no chance. */
void load_quiet(struct master *master)
{
    int64_t now = drift(master);
    if (now == master->load.drift)
        (void)__atomic_sub_fetch(&master->pages.pool->idle, (int32_t)now, __ATOMIC_SEQ_CST);
}

/* ---- life ---- */

void load_wake(struct master *master)
{
    master->load.all_busy++;
    if (policy_may_grow(&master->policy))
        look_at(master, NULL);
    else
        run_within(master, POLICY_LOOK_LATER_MS);
}

void load_ready(struct master *master, uint32_t slot)
{
    if (is_blind(master, slot))
        look_at_blind(master);
    run_after(master, 0);
}

void load_adjust(struct master *master)
{
    run_after(master, 0);
}

void load_init(struct master *master)
{
    struct load_watch *watch = &master->load;
    watch->epoll = -1;
    ev_init(&watch->look, on_look);
    watch->look.data = master;
    ev_init(&watch->knock, on_knock);
    watch->knock.data = master;
}

void load_watch(struct master *master, const struct listener *listener)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET | EPOLLONESHOT};
    if (epoll_ctl(master->load.epoll, EPOLL_CTL_ADD, listener->fd, &event))
        log_error("the listener cannot be watched: %s; a pool without workers stays so", strerror(errno));
}

/* Closing it would not do: workers have the same socket. */
void load_unwatch(struct master *master, const struct listener *listener)
{
    (void)epoll_ctl(master->load.epoll, EPOLL_CTL_DEL, listener->fd, NULL);
}

void load_start(struct master *master)
{
    struct load_watch *watch = &master->load;
    watch->epoll = epoll_create1(EPOLL_CLOEXEC);
    load_watch(master, &listeners_current(master)->listener);
    if (watch->epoll < 0)
        return;
    ev_io_set(&watch->knock, watch->epoll, EV_READ);
    ev_io_start(master->loop, &watch->knock);
    run_after(master, 0);
}

void load_stop(struct master *master)
{
    struct load_watch *watch = &master->load;
    ev_timer_stop(master->loop, &watch->look);
    ev_io_stop(master->loop, &watch->knock);
    if (watch->epoll >= 0)
        close(watch->epoll);
    watch->epoll = -1;
    free(watch->busy);
    watch->busy = NULL;
}
