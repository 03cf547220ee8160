/*
 * uWSGI, cheaper-algo = busyness: of each window of cheaper-overload seconds it takes the share of their time
 * that workers were busy, on average. More than busyness-max percent: cheaper-step workers more. Less than
 * busyness-min for busyness-multiplier windows: one less, down to `cheaper`; a window in between makes that
 * one window later, three of them in a row begin anew. A worker that is missed sooner than it was retired
 * raises the multiplier by busyness-penalty. Besides it looks at the queue once a second, as it can on TCP:
 * more than backlog-alert, or any for more than backlog-nonzero seconds, start backlog-step emergency
 * workers, which backlog-multiplier windows retire.
 */
#include "daemon/base/memory.h"
#include "daemon/simulate/rivals/rival.h"

enum {
    CHEAPER,
    INITIAL,
    STEP,
    OVERLOAD,
    BUSYNESS_MAX,
    BUSYNESS_MIN,
    MULTIPLIER,
    PENALTY,
    BACKLOG_ALERT,
    BACKLOG_MULTIPLIER,
    BACKLOG_STEP,
    BACKLOG_NONZERO,
    VALUES
};

_Static_assert(VALUES <= RIVAL_PARAMETERS_MAX, "there is room for them");

/* What a worker had done when the window began. */
struct mark {
    uint64_t life;
    int64_t busy_us;
};

struct uwsgi_busyness {
    struct rule rule;
    struct mark *marks; /* a slot each; owned */
    int64_t window_us;
    int64_t idle_windows, between; /* in a row */
    int64_t emergency;             /* such workers */
    int64_t waiting_s;             /* for so long there has been a queue */
    int64_t retired_us;            /* the last time */
};

/* ---- how busy ---- */

static bool counts(const struct world_worker *worker)
{
    return (worker->state == WORLD_IDLE || worker->state == WORLD_BUSY) && !worker->retired;
}

/* In percent; begins the next window. */
static int64_t busyness(struct uwsgi_busyness *uwsgi, const struct world *world)
{
    int64_t busy_us = 0, workers = 0;
    for (uint32_t i = 0; i < world->slot_count; i++) {
        const struct world_worker *worker = &world->workers[i];
        struct mark *mark = &uwsgi->marks[i];
        int64_t now_us = world_busy_us(world, i);
        if (counts(worker)) {
            workers++;
            busy_us += now_us - (mark->life == worker->life ? mark->busy_us : 0);
        }
        *mark = (struct mark){.life = worker->life, .busy_us = now_us};
    }
    return workers ? 100 * busy_us / (workers * uwsgi->rule.values[OVERLOAD] * RIVAL_TICK_US) : 0;
}

/* ---- more and fewer ---- */

static void more(struct uwsgi_busyness *uwsgi, struct world *world)
{
    int64_t soon_us = uwsgi->rule.values[MULTIPLIER] * uwsgi->rule.values[OVERLOAD] * RIVAL_TICK_US;
    uwsgi->idle_windows = uwsgi->between = 0;
    if (rival_spawn(world, uwsgi->rule.values[STEP], uwsgi->rule.max) && uwsgi->retired_us >= 0 &&
        world->now_us - uwsgi->retired_us < soon_us)
        uwsgi->rule.values[MULTIPLIER] += uwsgi->rule.values[PENALTY];
}

static void fewer(struct uwsgi_busyness *uwsgi, struct world *world)
{
    int64_t enough = uwsgi->rule.values[uwsgi->emergency ? BACKLOG_MULTIPLIER : MULTIPLIER];
    uwsgi->between = 0;
    if (++uwsgi->idle_windows < enough)
        return;
    uwsgi->idle_windows = 0;
    if (world_staying(world) <= uwsgi->rule.values[CHEAPER] || !rival_retire(world))
        return;
    uwsgi->emergency -= uwsgi->emergency > 0;
    uwsgi->retired_us = world->now_us;
}

static void neither(struct uwsgi_busyness *uwsgi)
{
    uwsgi->idle_windows -= uwsgi->idle_windows > 0;
    if (++uwsgi->between >= 3)
        uwsgi->idle_windows = 0;
}

static void end_window(struct uwsgi_busyness *uwsgi, struct world *world)
{
    int64_t percent = busyness(uwsgi, world);
    if (percent > uwsgi->rule.values[BUSYNESS_MAX])
        more(uwsgi, world);
    else if (percent < uwsgi->rule.values[BUSYNESS_MIN])
        fewer(uwsgi, world);
    else
        neither(uwsgi);
}

static void see_queue(struct uwsgi_busyness *uwsgi, struct world *world)
{
    int64_t queue = world_queue(world);
    uwsgi->waiting_s = queue ? uwsgi->waiting_s + 1 : 0;
    if (queue <= uwsgi->rule.values[BACKLOG_ALERT] && uwsgi->waiting_s <= uwsgi->rule.values[BACKLOG_NONZERO])
        return;
    uwsgi->emergency += rival_spawn(world, uwsgi->rule.values[BACKLOG_STEP], uwsgi->rule.max);
    uwsgi->waiting_s = 0;
}

/* ---- the manager ---- */

static void on_time(struct uwsgi_busyness *uwsgi, struct world *world)
{
    uwsgi->rule.tick_us += RIVAL_TICK_US;
    see_queue(uwsgi, world);
    if (world->now_us < uwsgi->window_us)
        return;
    uwsgi->window_us += uwsgi->rule.values[OVERLOAD] * RIVAL_TICK_US;
    end_window(uwsgi, world);
}

static void happened(struct manager *manager, struct world *world, enum world_event event, uint32_t slot)
{
    struct uwsgi_busyness *uwsgi = (struct uwsgi_busyness *)manager;
    (void)slot;
    if (event == WORLD_BEGIN) {
        uwsgi->marks = memory_must(calloc(world->slot_count, sizeof *uwsgi->marks));
        (void)rival_spawn(world, uwsgi->rule.values[INITIAL], uwsgi->rule.max);
    } else if (event == WORLD_TIME) {
        on_time(uwsgi, world);
    }
}

static void uwsgi_free(struct manager *manager)
{
    free(((struct uwsgi_busyness *)manager)->marks);
    free(manager);
}

/* workers.max, min and start are as in uwsgi-spare, and so is cheaper-step. The window is the shortest that
 * the documentation advises for this rule, the multiplier makes idle_timeout of it; all others are the
 * defaults. */
static void map(const struct settings *settings, int64_t *values)
{
    rival_uwsgi_spare.map(settings, values);
    values[OVERLOAD] = 10;
    values[BUSYNESS_MAX] = 50;
    values[BUSYNESS_MIN] = 25;
    values[MULTIPLIER] = settings->idle_timeout_ms / 10000 > 1 ? settings->idle_timeout_ms / 10000 : 1;
    values[PENALTY] = 1;
    values[BACKLOG_ALERT] = 33;
    values[BACKLOG_MULTIPLIER] = 3;
    values[BACKLOG_STEP] = 1;
    values[BACKLOG_NONZERO] = 60;
}

static struct manager *make(const struct settings *settings, const int64_t *values)
{
    struct uwsgi_busyness *uwsgi = rule_new(sizeof *uwsgi, settings, values, happened);
    uwsgi->rule.manager.free = uwsgi_free;
    if (uwsgi->rule.values[OVERLOAD] == 0)
        uwsgi->rule.values[OVERLOAD] = 1;
    uwsgi->window_us = uwsgi->rule.values[OVERLOAD] * RIVAL_TICK_US;
    uwsgi->retired_us = -1;
    return &uwsgi->rule.manager;
}

static const char *const parameters[] = {"cheaper",
                                         "cheaper-initial",
                                         "cheaper-step",
                                         "cheaper-overload",
                                         "cheaper-busyness-max",
                                         "cheaper-busyness-min",
                                         "cheaper-busyness-multiplier",
                                         "cheaper-busyness-penalty",
                                         "cheaper-busyness-backlog-alert",
                                         "cheaper-busyness-backlog-multiplier",
                                         "cheaper-busyness-backlog-step",
                                         "cheaper-busyness-backlog-nonzero",
                                         NULL};

const struct rival rival_uwsgi_busyness = {"uwsgi-busyness", parameters, map, make};
