/*
 * PHP-FPM, pm = dynamic: once a second it looks how many workers are idle. Fewer than min_spare_servers: it
 * starts the missing ones, but at first one, then each second in a row twice as many, up to max_spawn_rate.
 * More than max_spare_servers: it retires one.
 */
#include "daemon/simulate/rivals/rival.h"

enum { START_SERVERS, MIN_SPARE, MAX_SPARE, SPAWN_RATE };

struct fpm_dynamic {
    struct rule rule;
    int64_t rate;
};

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void tick(struct fpm_dynamic *fpm, struct world *world)
{
    int64_t idle = world->idle, missing = fpm->rule.values[MIN_SPARE] - idle;
    if (idle > fpm->rule.values[MAX_SPARE]) {
        (void)rival_retire(world);
        fpm->rate = 1;
    } else if (missing > 0 && rival_spawn(world, smaller(fpm->rate, missing), fpm->rule.max)) {
        fpm->rate = smaller(2 * fpm->rate, fpm->rule.values[SPAWN_RATE]);
    } else {
        fpm->rate = 1;
    }
}

static void happened(struct manager *manager, struct world *world, enum world_event event, uint32_t slot)
{
    struct fpm_dynamic *fpm = (struct fpm_dynamic *)manager;
    (void)slot;
    if (event == WORLD_BEGIN) {
        (void)rival_spawn(world, fpm->rule.values[START_SERVERS], fpm->rule.max);
    } else if (event == WORLD_TIME) {
        tick(fpm, world);
        fpm->rule.tick_us += RIVAL_TICK_US;
    }
}

/* workers.max is max_children. The spare ones are the shares of it that the sample configuration has (5, 1,
 * 3), or workers.spare and three times that where it is a number; start_servers is FPM's default. */
static void map(const struct settings *settings, int64_t *values)
{
    int64_t max = settings->workers_max, spare = settings->workers_spare;
    values[MIN_SPARE] = larger(1, spare == SETTING_AUTO ? max / 5 : spare);
    values[MAX_SPARE] = larger(1, spare == SETTING_AUTO ? 3 * max / 5 : 3 * spare);
    values[MIN_SPARE] = smaller(values[MIN_SPARE], max);
    values[MAX_SPARE] = smaller(values[MAX_SPARE], max);
    values[START_SERVERS] = values[MIN_SPARE] + (values[MAX_SPARE] - values[MIN_SPARE]) / 2;
    values[SPAWN_RATE] = 32;
}

static struct manager *make(const struct settings *settings, const int64_t *values)
{
    struct fpm_dynamic *fpm = rule_new(sizeof *fpm, settings, values, happened);
    fpm->rate = 1;
    return &fpm->rule.manager;
}

static const char *const parameters[] = {"start_servers", "min_spare_servers", "max_spare_servers",
                                         "max_spawn_rate", NULL};

const struct rival rival_fpm_dynamic = {"fpm-dynamic", parameters, map, make};
