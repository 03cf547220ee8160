/* What workers have in hand; see requests.h. */
#include "daemon/requests.h"

#include "daemon/base/clock.h"
#include "daemon/kernel/hangup.h"
#include "daemon/load.h"
#include "daemon/master.h"
#include "daemon/observe.h"
#include "daemon/retirements.h"
#include "daemon/rows.h"
#include "daemon/slowlog.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MS        UINT64_C(1000000) /* in nanoseconds */
#define SAMPLE_MS 1000
#define RETRY_MS  100 /* what could not be ended is tried again so much later */
/* A host that lives beats more often. */
#define BEAT_NS (1000 * MS)

/* One look at all workers. */
struct glance {
    struct master *master;
    uint64_t now_ns;
    uint64_t next_ns; /* when to look again */
    uint64_t requests;
    bool in_hand; /* somebody has something in hand */
};

static void look_again(struct glance *glance, uint64_t at_ns)
{
    if (at_ns < glance->next_ns)
        glance->next_ns = at_ns;
}

/* Whether what has lasted since `begun_ns` is over the limit (0: none); if not yet, it is to be looked at
 * when it will be. `ret_news`: it was not so at the look before. */
static bool is_over(struct glance *glance, uint64_t begun_ns, int64_t limit_ms, bool *ret_news)
{
    uint64_t end_ns = begun_ns + (uint64_t)limit_ms * MS;
    *ret_news = false;
    if (limit_ms == 0)
        return false;
    if (end_ns > glance->now_ns) {
        look_again(glance, end_ns);
        return false;
    }
    *ret_news = end_ns > glance->master->requests.looked_ns;
    return true;
}

/* ---- one worker ---- */

void requests_read(const struct worker *worker, struct page_view *ret_view)
{
    rows_read(worker->page, worker->pid, false, ret_view);
}

void requests_glance(const struct worker *worker, struct page_view *ret_view)
{
    rows_read(worker->page, worker->pid, !worker->headless, ret_view);
}

static const char *shown(const char *text)
{
    return *text ? text : "-";
}

static void log_overdue(const struct glance *glance, uint32_t slot, const struct page_view_connection *c)
{
    log_limited(&glance->master->limit_overdue, LOG_LEVEL_WARNING,
                "worker %u pid %ld: %s %s has taken %.3f s, more than timeout", slot, (long)c->pid,
                shown(c->method), shown(c->uri), (double)(glance->now_ns - c->begun_ns) / 1e9);
}

/* A worker that is watched from outside must not be stopped by anybody else. */
static void report_slow(const struct glance *glance, uint32_t slot, const struct page_view_connection *c)
{
    const struct master *master = glance->master;
    const struct worker *worker = &master->workers[slot];
    struct slow_request request = {
        .slot = slot,
        .pid = c->pid,
        .method = c->method,
        .uri = c->uri,
        .age_ms = (int64_t)((glance->now_ns - c->begun_ns) / MS),
        .no_stack = master->policy.slots[slot].state == SLOT_RETIRING && worker->drain.given_up,
    };
    slowlog_report(master->slowlog, &request);
}

static void report_overdue(struct glance *glance, uint32_t slot, unsigned overdue, unsigned others)
{
    bool *said = &glance->master->workers[slot].overdue;
    if (overdue) {
        look_again(glance, glance->now_ns + RETRY_MS * MS);
        *said = true;
        master_event(glance->master, EVENT_OVERDUE, slot, others);
    } else if (*said) {
        *said = false;
        master_event(glance->master, EVENT_IN_TIME, slot, 0);
    }
}

static bool has_connection(const struct page_view *view, const struct page_view_acceptor *acceptor)
{
    for (uint32_t i = 0; i < view->connection_count; i++)
        if (view->connections[i].pid == acceptor->pid && view->connections[i].tid == acceptor->tid)
            return true;
    return false;
}

/* How many may take a connection in this moment: who waits, and who is on his way to wait, unless he finds
 * there that he is to leave. */
static unsigned may_take(const struct page_view *view, enum slot_state state)
{
    unsigned count = view->scan.unlisted;
    for (uint32_t i = 0; i < view->acceptor_count; i++) {
        const struct page_view_acceptor *acceptor = &view->acceptors[i];
        bool comes = state == SLOT_SERVING && !has_connection(view, acceptor) &&
                     syscall(SYS_tgkill, acceptor->pid, acceptor->tid, 0) == 0;
        count += acceptor->waiting || comes;
    }
    return count;
}

/* Whether it ends what is overdue by itself. One that has not looked for that long does not. */
static bool ends_its_own(struct glance *glance, const struct page_scan *scan)
{
    uint64_t patience_ns = (uint64_t)glance->master->settings.timeout_ms * MS;
    if (patience_ns < BEAT_NS)
        patience_ns = BEAT_NS;
    if (!(scan->flags & PAGE_ENDS_OVERDUE) || glance->now_ns - scan->beat_ns >= patience_ns)
        return false;
    look_again(glance, scan->beat_ns + patience_ns);
    return true;
}

/* Requests in the hand of one worker. */
static void see_busy(struct glance *glance, uint32_t slot, const struct page_view *view)
{
    const struct settings *settings = &glance->master->settings;
    /* Whose connection is not closed may lose the end of its answer. */
    unsigned others =
        view->scan.overflow + view->scan.numbers[PAGE_CONNECTED] + view->scan.numbers[PAGE_FINISHING];
    unsigned overdue = 0;
    bool own = ends_its_own(glance, &view->scan), news;
    for (uint32_t i = 0; i < view->connection_count; i++) {
        const struct page_view_connection *c = &view->connections[i];
        if (c->state != PAGE_BUSY)
            continue;
        if (is_over(glance, c->begun_ns, settings->slowlog_threshold_ms, &news) && news)
            report_slow(glance, slot, c);
        if (own || !is_over(glance, c->begun_ns, settings->timeout_ms, &news)) {
            others++;
            continue;
        }
        overdue++;
        if (news)
            log_overdue(glance, slot, c);
    }
    if (overdue)
        others += may_take(view, glance->master->policy.slots[slot].state);
    report_overdue(glance, slot, overdue, others);
}

/* What a hang-up has to know to be sure of its connection. */
struct silence {
    const struct page *page;
    const struct page_view_connection *connection;
};

static bool is_silent_still(void *context)
{
    const struct silence *silence = context;
    return page_still(silence->page, silence->connection);
}

/* Again and again, as long as the worker does not notice; said once. */
static void hang_up(struct glance *glance, uint32_t slot, const struct page_view_connection *c, bool news)
{
    struct master *master = glance->master;
    struct worker *worker = &master->workers[slot];
    struct silence silence = {.page = worker->page, .connection = c};
    double age = (double)(glance->now_ns - c->begun_ns) / 1e9;
    int result =
        hangup_connection(&worker->listener->address, worker->pid, c->pid, c->fd, is_silent_still, &silence);
    look_again(glance, glance->now_ns + RETRY_MS * MS);
    bool gone = result == -ESRCH || result == -EBADF || result == -ENOENT; /* it has ended meanwhile */
    if (gone || result == -EBUSY || !news)
        return;
    log_limited(&master->limit_hangups, LOG_LEVEL_WARNING,
                "worker %u pid %ld: a client has sent no request for %.3f s, more than "
                "request_header_timeout, and %s%s",
                slot, (long)c->pid, age, result ? "cannot be hung up on: " : "is hung up on",
                result ? strerror(-result) : "");
}

static void see_connected(struct glance *glance, uint32_t slot, const struct page_view *view)
{
    int64_t limit_ms = glance->master->settings.request_header_timeout_ms;
    bool news;
    for (uint32_t i = 0; i < view->connection_count; i++)
        if (view->connections[i].state == PAGE_CONNECTED &&
            is_over(glance, view->connections[i].begun_ns, limit_ms, &news))
            hang_up(glance, slot, &view->connections[i], news);
}

static void see_limit(struct glance *glance, uint32_t slot, const struct page_scan *scan)
{
    const struct master *master = glance->master;
    uint64_t limit = policy_max_requests(&master->policy, slot);
    bool reached = limit && scan->requests >= limit;
    bool due = master->policy.slots[slot].due == REASON_MAX_REQUESTS;
    if (reached != due)
        master_event(glance->master, EVENT_RECYCLE, slot, reached ? REASON_MAX_REQUESTS : REASON_NONE);
}

static bool has_in_hand(const struct page_scan *scan)
{
    return scan->numbers[PAGE_BUSY] || scan->numbers[PAGE_CONNECTED] || scan->numbers[PAGE_FINISHING];
}

static void see_worker(struct glance *glance, uint32_t slot)
{
    struct worker *worker = &glance->master->workers[slot];
    enum slot_state state = glance->master->policy.slots[slot].state;
    struct page_scan scan;
    if (!worker_tells(worker))
        return;
    page_scan(worker->page, glance->now_ns, &scan);
    load_worker(glance->master, slot, &scan);
    glance->requests += scan.requests;
    if (state == SLOT_SERVING)
        see_limit(glance, slot, &scan);
    if (state == SLOT_STARTING) /* its first request wakes nobody once it has been accepted */
        glance->in_hand = glance->in_hand || has_in_hand(&scan);
    if ((state != SLOT_SERVING && state != SLOT_RETIRING) || !(has_in_hand(&scan) || worker->overdue))
        return;
    struct page_view view;
    requests_glance(worker, &view);
    glance->in_hand = glance->in_hand || has_in_hand(&view.scan);
    see_busy(glance, slot, &view);
    see_connected(glance, slot, &view);
}

/* ---- all workers ---- */

/* Requests that begin after this look are over their limits this much later at the soonest. */
static void expect_limits(struct glance *glance)
{
    const struct settings *settings = &glance->master->settings;
    const int64_t limits_ms[] = {settings->timeout_ms, settings->slowlog_threshold_ms,
                                 settings->request_header_timeout_ms};
    for (size_t i = 0; i < sizeof limits_ms / sizeof *limits_ms; i++)
        if (limits_ms[i])
            look_again(glance, glance->now_ns + (uint64_t)limits_ms[i] * MS);
}

static void see_all(struct glance *glance)
{
    glance->requests = glance->master->requests.total;
    glance->in_hand = false;
    load_begin(glance->master);
    for (uint32_t i = 0; i < glance->master->policy.slot_count; i++)
        see_worker(glance, i);
}

void requests_arm(struct master *master, enum page_wake what)
{
    (void)__atomic_fetch_or(&master->pages.pool->armed, what, __ATOMIC_SEQ_CST);
}

/* Whether there was any work since the sample before. */
static bool sample(struct master *master, uint64_t requests, int64_t now_ms)
{
    struct requests *r = &master->requests;
    struct latency served, recent;
    bool worked = requests != r->sampled;
    (void)requests_total(master, &served);
    tally_add(&r->tally, requests, &served, now_ms);
    tally_recent(&r->tally, &served, &recent);
    load_sample(master, requests, &recent);
    r->sampled = requests;
    r->sampled_ms = now_ms;
    return worked;
}

static void run_at(struct master *master, uint64_t at_ns, uint64_t from_ns)
{
    double after = at_ns > from_ns ? (double)(at_ns - from_ns) / 1e9 : 0.0;
    ev_timer_stop(master->loop, &master->requests.look);
    ev_now_update(master->loop);
    ev_timer_set(&master->requests.look, after, 0.0);
    ev_timer_start(master->loop, &master->requests.look);
}

/* Nothing is in hand, and nothing was done of late: the next request wakes us. One that came in before the
 * bit was armed is seen by the second look. */
static bool may_sleep(struct glance *glance)
{
    if (glance->in_hand || !glance->master->wakeup.pool)
        return false;
    requests_arm(glance->master, PAGE_WAKE_REQUEST);
    see_all(glance);
    if (glance->in_hand || glance->requests != glance->master->requests.sampled)
        return false;
    load_quiet(glance->master);
    return true;
}

static void look_at_workers(struct master *master)
{
    struct requests *r = &master->requests;
    struct glance glance = {.master = master, .now_ns = (uint64_t)clock_now_ns(), .next_ns = UINT64_MAX};
    int64_t now_ms = (int64_t)(glance.now_ns / MS);
    bool due = now_ms - r->sampled_ms >= SAMPLE_MS;
    if (!master->pages.pool)
        return;
    see_all(&glance);
    bool worked = due ? sample(master, glance.requests, now_ms) : true;
    if (!worked && may_sleep(&glance)) {
        ev_timer_stop(master->loop, &r->look);
    } else {
        look_again(&glance, (uint64_t)(r->sampled_ms + SAMPLE_MS) * MS);
        expect_limits(&glance);
        run_at(master, glance.next_ns, glance.now_ns);
    }
    r->looked_ns = glance.now_ns;
}

static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    look_at_workers(timer->data);
}

static void on_wake(struct ev_loop *loop, ev_async *async, int events)
{
    struct master *master = async->data;
    (void)loop, (void)events;
    uint32_t news = __atomic_exchange_n(&master->pages.pool->news, 0, __ATOMIC_SEQ_CST);
    if (news & PAGE_WAKE_ALL_BUSY)
        load_wake(master);
    if (news & PAGE_WAKE_ACCEPTS && policy_count(&master->policy, SLOT_STARTING))
        observe_starts_now(master);
    if (news & PAGE_WAKE_DRAINED && policy_count(&master->policy, SLOT_RETIRING))
        retirements_start(master);
    if (news & (PAGE_WAKE_REQUEST | PAGE_WAKE_LIMIT))
        look_at_workers(master);
}

/* A request that is over a new limit is news, even if it was over it at the look before. */
static void note_limits(struct master *master)
{
    struct requests *r = &master->requests;
    if (r->timeout_ms != master->settings.timeout_ms || r->slow_ms != master->settings.slowlog_threshold_ms)
        r->looked_ns = 0;
    r->timeout_ms = master->settings.timeout_ms;
    r->slow_ms = master->settings.slowlog_threshold_ms;
}

void requests_limit(struct master *master)
{
    note_limits(master);
    for (uint32_t i = 0; i < master->policy.slot_count; i++) {
        struct page *page = master->workers[i].page;
        if (!page)
            continue;
        __atomic_store_n(&page->orders.max_requests, policy_max_requests(&master->policy, i),
                         __ATOMIC_SEQ_CST);
        __atomic_store_n(&page->orders.timeout_ms, (uint64_t)master->settings.timeout_ms, __ATOMIC_SEQ_CST);
    }
    look_at_workers(master);
}

/* ---- totals ---- */

static void add(const struct worker *worker, uint64_t *total, struct latency *served)
{
    struct latency service;
    page_service(worker->page, &service);
    latency_add(served, &service);
    *total += worker_requests(worker);
}

uint64_t requests_total(const struct master *master, struct latency *ret_served)
{
    uint64_t total = master->requests.total;
    *ret_served = master->requests.served;
    for (uint32_t i = 0; i < master->policy.slot_count; i++)
        if (worker_tells(&master->workers[i]))
            add(&master->workers[i], &total, ret_served);
    return total;
}

void requests_gone(struct master *master, uint32_t slot)
{
    if (worker_tells(&master->workers[slot]))
        add(&master->workers[slot], &master->requests.total, &master->requests.served);
}

/* ---- life ---- */

void requests_init(struct master *master)
{
    ev_init(&master->requests.look, on_look);
    master->requests.look.data = master;
    tally_init(&master->requests.tally, clock_now_ms());
}

void requests_start(struct master *master)
{
    if (!master->pages.pool)
        return;
    note_limits(master);
    requests_arm(master, PAGE_WAKE_REQUEST);
    int result = wakeup_start(&master->wakeup, master->pages.pool, master->loop, on_wake, master);
    if (result)
        log_error("no thread to be woken by workers: %s; they are looked at once a second",
                  strerror(-result));
    if (result)
        look_at_workers(master);
}

void requests_stop(struct master *master)
{
    wakeup_stop(&master->wakeup);
    ev_timer_stop(master->loop, &master->requests.look);
}
