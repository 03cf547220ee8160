/* The loop; see async.h. */
#include "pool/worker/host/async.h"

#include "pool/worker/host/exchange.h"

#include <dlfcn.h>
#include <signal.h>
#include <time.h>

/* How often requests are looked at, while there are any. */
#define TICK_SECONDS 0.1
/* When no more is accepted, a kept connection that has rested so long is closed. */
#define REST_NS 1000000000U

uint64_t async_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* ---- turns ---- */

static void on_turn(struct ev_loop *loop, ev_prepare *turn, int events)
{
    struct async *async = turn->data;
    (void)events;
    exchange_call_back(async);
    while (async->dirty) {
        struct connection *connection = async->dirty;
        async->dirty = connection->next_dirty;
        connection->is_dirty = false;
        connection_send(connection);
    }
    connection_bury(async);
    if (async->waiting)
        ev_timer_start(loop, &async->again);
}

static void on_again(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)timer, (void)events; /* that it does not wait is all */
}

/* ---- time ---- */

static void beat(struct async *async, uint64_t now_ns)
{
    if (async->hosted)
        __atomic_store_n(&async->hosted->page->report.beat_ns, now_ns, __ATOMIC_SEQ_CST);
}

/* 0: none. */
static uint64_t timeout_ns(const struct async *async)
{
    const struct hosted_link *hosted = async->hosted;
    return hosted ? __atomic_load_n(&hosted->page->orders.timeout_ms, __ATOMIC_SEQ_CST) * 1000000U : 0;
}

static void expire(struct async *async, uint64_t now_ns)
{
    uint64_t limit_ns = timeout_ns(async);
    while (limit_ns && async->first && now_ns > async->first->since_ns + limit_ns)
        exchange_expire(async->first);
}

/* Those that rest are ended when no more is accepted; others, when their client has gone or does not read. */
static void look_after_connections(struct async *async, uint64_t now_ns)
{
    for (struct connection *connection = async->connections, *next; connection; connection = next) {
        next = connection->next;
        if (async->ending && !connection_has_request(connection) && now_ns > connection->rests_ns + REST_NS)
            connection_retire(connection);
        else
            connection_look_after(connection, now_ns, timeout_ns(async));
    }
}

/* What accepts waits for a place, perhaps, and so hears nothing of a drain. */
static bool is_to_end(const struct async *async)
{
    return async->hosted && !async->ending && async->open == async->limit &&
           __atomic_load_n(&async->hosted->page->orders.drain, __ATOMIC_SEQ_CST);
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct async *async = timer->data;
    uint64_t now_ns = async_now();
    (void)events;
    beat(async, now_ns);
    expire(async, now_ns);
    look_after_connections(async, now_ns);
    if (is_to_end(async))
        intake_stop(&async->intake);
    if (!async->first && !async->sending && !async->ending && async->open < async->limit)
        ev_timer_stop(loop, timer);
}

void async_ticks(struct async *async)
{
    if (ev_is_active(&async->tick))
        return;
    beat(async, async_now());
    ev_timer_again(async->loop, &async->tick);
}

/* ---- the end ---- */

void async_look_at_end(struct async *async)
{
    if (async->ending && !async->connections && !async->exchanges)
        ev_break(async->loop, EVBREAK_ALL);
}

static void on_intake_end(struct intake *intake)
{
    struct async *async = intake->data;
    async->ending = true;
    async_ticks(async);
    async_look_at_end(async);
}

static void on_connection(struct intake *intake, int fd)
{
    connection_open(intake->data, fd);
}

static void on_term(struct ev_loop *loop, ev_signal *watcher, int events)
{
    struct async *async = watcher->data;
    (void)loop, (void)events;
    intake_stop(&async->intake);
}

/* ---- all ---- */

/* Known to the library, if it is there, before the first accept. */
static void find_library(struct async *async)
{
    const struct hosted_link *(*find)(void) = NULL;
    *(void **)&find = dlsym(RTLD_DEFAULT, HOSTED_SYMBOL);
    async->hosted = find ? find() : NULL;
}

static void init(struct async *async)
{
    struct ev_loop *loop = async->loop;
    async->end = &async->first;
    async->waiting_end = &async->waiting;
    async->intake.take = on_connection;
    async->intake.end = on_intake_end;
    ev_prepare_init(&async->turn, on_turn);
    ev_timer_init(&async->again, on_again, 0.0, 0.0);
    ev_timer_init(&async->tick, on_tick, 0.0, TICK_SECONDS);
    ev_signal_init(&async->term, on_term, SIGTERM);
    async->turn.data = async->tick.data = async->term.data = async->intake.data = async;
    ev_prepare_start(loop, &async->turn);
    ev_signal_start(loop, &async->term);
    post_open(&async->box, loop);
}

static void fini(struct async *async)
{
    intake_join(&async->intake);
    connection_bury(async);
    post_close(&async->box);
    ev_prepare_stop(async->loop, &async->turn);
    ev_signal_stop(async->loop, &async->term);
    ev_timer_stop(async->loop, &async->tick);
    ev_loop_destroy(async->loop);
}

bool async_run(const struct fcgipool_app *app, const struct options *options)
{
    struct async *async = (struct async *)buffer_must(calloc(1, sizeof *async));
    async->app = app;
    async->protocol = options->scgi ? &async_scgi : &async_fcgi;
    async->limit = (unsigned)options->connections;
    async->loop = (struct ev_loop *)buffer_must(ev_default_loop(EVFLAG_AUTO));
    ev_loop_fork(async->loop); /* it may be there already, from before a fork: an application has made it */
    find_library(async);
    init(async);
    int error = intake_start(&async->intake, async->loop, async->limit);
    if (error == 0) {
        ev_run(async->loop, 0);
        fini(async);
    } else {
        fcgipool_log("no thread to accept in: %s", strerror(error));
    }
    free(async);
    return error == 0;
}
