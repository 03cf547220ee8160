/*
 * uWSGI, cheaper-algo = spare: it looks once a second. Everybody busy for cheaper-overload looks:
 * cheaper-step workers more. Two or more not busy for as many looks: one less, down to `cheaper`.
 */
#include "daemon/simulate/rivals/rival.h"

enum { CHEAPER, INITIAL, STEP, OVERLOAD };

struct uwsgi_spare {
    struct rule rule;
    int64_t overloaded, idle; /* looks in a row */
};

static void count(struct uwsgi_spare *uwsgi, int64_t not_busy)
{
    if (not_busy == 0) {
        uwsgi->overloaded++;
        uwsgi->idle = 0;
    } else if (not_busy > 1) {
        uwsgi->idle++;
        uwsgi->overloaded = 0;
    }
}

static void tick(struct uwsgi_spare *uwsgi, struct world *world)
{
    int64_t workers = world_staying(world);
    count(uwsgi, (int64_t)world->idle + world->starting);
    if (uwsgi->overloaded >= uwsgi->rule.values[OVERLOAD]) {
        (void)rival_spawn(world, uwsgi->rule.values[STEP], uwsgi->rule.max);
        uwsgi->overloaded = 0;
    } else if (uwsgi->idle >= uwsgi->rule.values[OVERLOAD] && workers > uwsgi->rule.values[CHEAPER]) {
        (void)rival_retire(world);
        uwsgi->idle = 0;
    }
}

static void happened(struct manager *manager, struct world *world, enum world_event event, uint32_t slot)
{
    struct uwsgi_spare *uwsgi = (struct uwsgi_spare *)manager;
    (void)slot;
    if (event == WORLD_BEGIN) {
        (void)rival_spawn(world, uwsgi->rule.values[INITIAL], uwsgi->rule.max);
    } else if (event == WORLD_TIME) {
        tick(uwsgi, world);
        uwsgi->rule.tick_us += RIVAL_TICK_US;
    }
}

/* workers.max is `workers`, workers.min `cheaper` (at least 1), workers.start cheaper-initial. cheaper-step
 * is the share of `workers` that the documentation's example has (4 of 64), cheaper-overload its default. */
static void map(const struct settings *settings, int64_t *values)
{
    values[CHEAPER] = settings->workers_min ? settings->workers_min : 1;
    values[INITIAL] = settings->workers_start > values[CHEAPER] ? settings->workers_start : values[CHEAPER];
    values[STEP] = settings->workers_max > 16 ? settings->workers_max / 16 : 1;
    values[OVERLOAD] = 3;
}

static struct manager *make(const struct settings *settings, const int64_t *values)
{
    struct uwsgi_spare *uwsgi = rule_new(sizeof *uwsgi, settings, values, happened);
    return &uwsgi->rule.manager;
}

static const char *const parameters[] = {"cheaper", "cheaper-initial", "cheaper-step", "cheaper-overload",
                                         NULL};

const struct rival rival_uwsgi_spare = {"uwsgi-spare", parameters, map, make};
