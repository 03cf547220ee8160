/*
 * PHP-FPM, pm = ondemand: there is no worker at first. A connection that nobody takes starts one; those that
 * come while it forks count as one together, which is why it stays below the demand in a burst. Once a second
 * one worker that has been idle for process_idle_timeout is retired.
 */
#include "daemon/simulate/rivals/rival.h"

enum { IDLE_TIMEOUT_S, FORK_MS };

struct fpm_ondemand {
    struct rule rule;
    int64_t forked_us; /* until when it forks */
    bool pending;      /* a connection came meanwhile */
};

static void fork_one(struct fpm_ondemand *fpm, struct world *world)
{
    fpm->pending = false;
    if (world_queue(world) && world->idle == 0 && rival_spawn(world, 1, fpm->rule.max))
        fpm->forked_us = world->now_us + fpm->rule.values[FORK_MS] * 1000;
}

static void on_arrived(struct fpm_ondemand *fpm, struct world *world)
{
    if (world->now_us < fpm->forked_us)
        fpm->pending = true;
    else
        fork_one(fpm, world);
}

static void on_time(struct fpm_ondemand *fpm, struct world *world)
{
    if (fpm->pending && fpm->forked_us <= world->now_us)
        fork_one(fpm, world);
    if (fpm->rule.tick_us > world->now_us)
        return;
    fpm->rule.tick_us += RIVAL_TICK_US;
    if (world->first_idle != WORLD_NONE && world->now_us - world->workers[world->first_idle].since_us >=
                                               fpm->rule.values[IDLE_TIMEOUT_S] * RIVAL_TICK_US)
        (void)rival_retire(world);
}

static void happened(struct manager *manager, struct world *world, enum world_event event, uint32_t slot)
{
    struct fpm_ondemand *fpm = (struct fpm_ondemand *)manager;
    (void)slot;
    if (event == WORLD_ARRIVED)
        on_arrived(fpm, world);
    else if (event == WORLD_TIME)
        on_time(fpm, world);
}

static int64_t next_us(const struct manager *manager)
{
    const struct fpm_ondemand *fpm = (const struct fpm_ondemand *)manager;
    return fpm->pending && fpm->forked_us < fpm->rule.tick_us ? fpm->forked_us : fpm->rule.tick_us;
}

/* workers.max is max_children, idle_timeout is process_idle_timeout. A fork takes 1 ms. */
static void map(const struct settings *settings, int64_t *values)
{
    values[IDLE_TIMEOUT_S] = (settings->idle_timeout_ms + 999) / 1000;
    values[FORK_MS] = 1;
}

static struct manager *make(const struct settings *settings, const int64_t *values)
{
    struct fpm_ondemand *fpm = rule_new(sizeof *fpm, settings, values, happened);
    fpm->rule.manager.next_us = next_us;
    return &fpm->rule.manager;
}

static const char *const parameters[] = {"process_idle_timeout", "fork_ms", NULL};

const struct rival rival_fpm_ondemand = {"fpm-ondemand", parameters, map, make};
