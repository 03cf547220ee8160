/* The master's loop and what it owns; see master.h. */
#include "daemon/master.h"

#include "daemon/act.h"
#include "daemon/base/clock.h"
#include "daemon/base/exit_code.h"
#include "daemon/base/memory.h"
#include "daemon/base/pidfile.h"
#include "daemon/base/title.h"
#include "daemon/deal.h"
#include "daemon/listen.h"
#include "daemon/logs.h"
#include "daemon/master_open.h"
#include "daemon/observe.h"
#include "daemon/reap.h"
#include "daemon/retirements.h"
#include "daemon/signals.h"
#include "daemon/weigh.h"
#include "pool/assert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* ---- storage ---- */

static void *grow(void *items, size_t count, size_t size)
{
    return memory_must(reallocarray(items, count, size));
}

/* Room for `workers` wanted; never shrinks. */
static void reserve(struct master *master, int64_t workers)
{
    uint32_t old_count = master->policy.slot_count;
    uint32_t places = listeners_count(&master->listeners);
    uint32_t count = policy_slots_for(&master->settings, workers, places ? places : 1);
    if (count <= old_count)
        return;
    master->workers = grow(master->workers, count, sizeof *master->workers);
    memset(&master->workers[old_count], 0, (count - old_count) * sizeof *master->workers);
    struct slot *old_slots = master->policy.slots;
    policy_grow(&master->policy, grow(NULL, count, sizeof(struct slot)), count);
    free(old_slots);
    master->actions.capacity = 2 * count + 8;
    master->actions.items =
        grow(master->actions.items, master->actions.capacity, sizeof *master->actions.items);
}

/* ---- events ---- */

static void enqueue(struct event_queue *queue, const struct event *event)
{
    if (queue->count == queue->capacity) {
        queue->capacity = queue->capacity ? 2 * queue->capacity : 16;
        queue->items = grow(queue->items, queue->capacity, sizeof *queue->items);
    }
    queue->items[queue->count++] = *event;
}

static void set_deadline(struct master *master)
{
    int64_t deadline_ms = policy_deadline(&master->policy);
    int64_t now_ms = clock_now_ms();
    ev_timer_stop(master->loop, &master->deadline);
    if (deadline_ms == NEVER_MS)
        return;
    ev_now_update(master->loop);
    /* clock_now_ms rounds down: half a millisecond more, and the deadline has passed when the timer fires. */
    ev_timer_set(&master->deadline,
                 deadline_ms > now_ms ? (double)(deadline_ms - now_ms) / 1000.0 + 0.0005 : 0.0, 0.0);
    ev_timer_start(master->loop, &master->deadline);
}

static void step(struct master *master, struct event *event)
{
    bool quick = event->type == EVENT_STOP_QUICK ||
                 (event->type == EVENT_STOP && master->policy.state >= POOL_STOPPING);
    event->now_ms = clock_now_ms();
    policy_step(&master->policy, event, &master->actions);
#ifndef NDEBUG
    ASSERT(policy_check(&master->policy, event->now_ms) == NULL);
#endif
    for (uint32_t i = 0; i < master->actions.count; i++)
        act(master, &master->actions.items[i]);
    if (quick) {
        orphans_kill(master);
        upgrade_end_quick(master);
        hooks_hurry(master);
    }
}

static void happens(struct master *master, const struct event *happened)
{
    enqueue(&master->events, happened);
    if (master->stepping)
        return;
    master->stepping = true;
    for (size_t i = 0; i < master->events.count; i++) {
        struct event event = master->events.items[i];
        step(master, &event);
    }
    master->events.count = 0;
    master->stepping = false;
    listeners_prune(master);
    set_deadline(master);
    announce_workers(master);
    hooks_workers(master);
    orphans_notify(master);
    inherit_notify(master);
    if (master->policy.state != POOL_STOPPED)
        control_notify(&master->control);
}

void master_event(struct master *master, enum event_type type, uint32_t slot, int64_t number)
{
    happens(master, &(struct event){.type = type,
                                    .slot = slot,
                                    .incarnation = master->policy.slots[slot].incarnation,
                                    .number = number});
}

void master_load(struct master *master, const struct load *load)
{
    happens(master, &(struct event){.type = EVENT_LOAD, .load = *load});
}

void master_note(struct master *master, int state_result)
{
    if (state_result)
        log_limited(&master->limit_state, LOG_LEVEL_WARNING,
                    "state file %s: %s; if the master dies, its workers may not be found", master->state.path,
                    strerror(-state_result));
}

void master_orphans_gone(struct master *master)
{
    for (struct bound *bound = NULL; (bound = listeners_next(&master->listeners, bound));)
        if (bound->listener.address.storage.ss_family != AF_UNIX)
            listener_alone(&bound->listener);
    master_end_if_done(master);
}

void master_end_if_done(struct master *master)
{
    if (master->policy.state == POOL_STOPPED && master->orphans.left == 0 && !upgrade_holds(master))
        ev_break(master->loop, EVBREAK_ALL);
}

bool master_shares_listener(const struct master *master)
{
    const struct bound *bound = listeners_at(&master->listeners, master->policy.place);
    return (bound && bound->listener.foreign) || upgrade_leaves_listener(master) || inherit_shares(master);
}

void master_scale(struct master *master, int64_t number, bool relative)
{
    int64_t low, high;
    int64_t target = relative ? master->policy.floor + number : number;
    policy_scale_range(&master->policy, &low, &high);
    if (target > low)
        reserve(master, target < high ? target : high);
    master_event(master, relative ? EVENT_SCALE_BY : EVENT_SCALE_TO, 0, number);
}

void master_settings(struct master *master, enum event_type event, uint64_t place)
{
    reserve(master, master->policy.wanted);
    master_event(master, event, 0, (int64_t)place);
    requests_limit(master);
    load_adjust(master);
    weigh_start(master);
}

static void on_deadline(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    observe_starts_in_time(timer->data);
    master_event(timer->data, EVENT_TIME, 0, 0);
}

static void on_never(struct ev_loop *loop, ev_periodic *periodic, int events)
{
    (void)loop, (void)periodic, (void)events;
}

/* ---- life ---- */

static void init(struct master *master, const struct conf *conf, struct announce *announce,
                 struct inheritance *inheritance, struct listener *passed)
{
    *master = (struct master){
        .loop = ev_default_loop(EVFLAG_NOENV),
        .conf = conf,
        .live = conf,
        .settings = *conf_settings(conf),
        .name = conf_text(conf, SETTING_ID_NAME),
        .pages = PAGES_INIT,
        .state = STATE_INIT,
        .control = {.listener = LISTENER_INIT},
        .announce = announce,
        .inheritance = inheritance,
    };
    /* So that the pools of a host do not recycle in step. */
    uint64_t seed = (uint64_t)clock_now_ms() ^ (uint64_t)getpid() << 32;
    versions_init(&master->versions, inherit_generation(inheritance), conf);
    listeners_init(&master->listeners);
    listeners_room(&master->listeners)->listener = *passed;
    *passed = (struct listener)LISTENER_INIT;
    policy_init(&master->policy, &master->settings, NULL, 0, seed);
    policy_number(&master->policy, deal_is_numbered(conf));
    inherit_policy(master);
    reserve(master, master->policy.floor > master->settings.workers_max ? master->policy.floor
                                                                        : master->settings.workers_max);
    ev_init(&master->deadline, on_deadline);
    master->deadline.data = master;
    /* With a periodic watcher libev waits on a timerfd for changes of the time of day, instead of waking up
     * now and then to look at the clock. */
    ev_periodic_init(&master->never, on_never, 1e11, 0.0, NULL);
    observe_init(master);
    retirements_init(master);
    requests_init(master);
    load_init(master);
    guard_init(master);
    weigh_init(master);
    changes_init(master);
    reload_init(master);
    upgrade_init(master);
    hooks_init(master);
}

/* The listener from which others go on serving, if there is one: those of a former master, when a start has
 * failed, or those of the other master of an upgrade. */
static struct bound *shared_with_others(const struct master *master)
{
    const struct listener *former = orphans_listener(&master->orphans);
    struct bound *first = listeners_at(&master->listeners, 0);
    if (master_shares_listener(master))
        return listeners_at(&master->listeners, master->policy.place);
    return master->orphans.left > 0 && first && former && former->cookie == first->listener.cookie ? first
                                                                                                   : NULL;
}

/* One that even SIGKILL has not ended, or an orphan from now on. */
static void fini_worker(struct master *master, struct worker *worker)
{
    output_stop(worker->output, master->loop);
    pages_drop(&master->pages, worker->page);
}

static void fini(struct master *master)
{
    observe_stop(master);
    retirements_stop(master);
    requests_stop(master);
    load_stop(master);
    guard_stop(master);
    weigh_stop(master);
    changes_stop(master);
    reload_stop(master);
    upgrade_bequeath(master);
    inherit_stop(master);
    hooks_fini(master);
    announce_stop(master);
    ev_timer_stop(master->loop, &master->deadline);
    ev_periodic_stop(master->loop, &master->never);
    if (master->signals.data)
        signals_stop(master);
    if (upgrade_has_heir(master))
        control_leave(&master->control);
    else if (master->pidfile)
        pidfile_remove(master->pidfile, getpid());
    free(master->pidfile);
    struct bound *shared = shared_with_others(master);
    if (shared)
        listener_leave(&shared->listener);
    listeners_fini(&master->listeners);
    state_close(&master->state, master->orphans.left == 0);
    orphans_fini(master);
    control_close(&master->control);
    for (uint32_t i = 0; i < master->policy.slot_count; i++)
        fini_worker(master, &master->workers[i]);
    pages_close(&master->pages);
    versions_fini(&master->versions); /* templates have output, too */
    logs_close(master);
    free(master->workers);
    free(master->policy.slots);
    free(master->actions.items);
    free(master->events.items);
    upgrade_stop(master);
    ev_loop_destroy(master->loop);
}

/* A large pool needs a descriptor a worker. The workers get the limit as it was: select() does not know more.
 */
static void raise_descriptors(struct master *master)
{
    getrlimit(RLIMIT_NOFILE, &master->descriptors);
    struct rlimit raised = {.rlim_cur = master->descriptors.rlim_max,
                            .rlim_max = master->descriptors.rlim_max};
    setrlimit(RLIMIT_NOFILE, &raised);
}

static void serve(struct master *master)
{
    raise_descriptors(master);
    /* Children of workers whose parent has gone come to us, so that nobody is left behind unseen. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    title_set("fcgipool: master %s", master->name);
    char address[ADDRESS_TEXT_SIZE];
    address_format(&listeners_current(master)->listener.address, address, sizeof address);
    log_info("pool %s: master pid %ld listens on %s", master->name, (long)getpid(), address);
    ev_periodic_start(master->loop, &master->never);
    orphans_start(master);
    control_start(&master->control, master);
    announce_start(master);
    inherit_start(master);
    requests_start(master);
    guard_start(master);
    load_start(master);
    weigh_start(master);
    changes_start(master);
    hooks_pool(master, SETTING_ID_HOOK_ON_STARTING);
    master_event(master, EVENT_START, 0, 0);
    if (master->policy.state != POOL_STOPPED) /* ev_break before ev_run is forgotten */
        ev_run(master->loop, 0);
    reap_strays(master);
    listeners_end(&master->listeners, shared_with_others(master));
    hooks_leave(master);
    inherit_look(master);
}

int master_run(const struct conf *conf, struct announce *announce, struct inheritance *inheritance,
               struct listener *passed)
{
    struct master master;
    struct problem problem;
    init(&master, conf, announce, inheritance, passed);
    int result = master_open(&master, &problem);
    if (result) {
        inherit_complain(inheritance);
        problem_print(&problem, stderr);
    } else {
        serve(&master);
    }
    fini(&master);
    log_close();
    inherit_complain(inheritance);
    if (announce_failure(announce, conf, inheritance->will != NULL) || master.upgrade.bereft)
        return EXIT_FAILED;
    return result == -EADDRINUSE ? EXIT_NOT_NOW : result ? EXIT_FAILED : EXIT_DONE;
}
