/* The rules of other process managers, by name; see rival.h. */
#include "daemon/simulate/rivals/rival.h"

#include "daemon/base/memory.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct rival *const rivals[] = {&rival_fpm_dynamic, &rival_fpm_ondemand, &rival_uwsgi_spare,
                                      &rival_uwsgi_busyness, NULL};

/* ---- for the rules ---- */

static int64_t next_tick(const struct manager *manager)
{
    return ((const struct rule *)manager)->tick_us;
}

static void rule_free(struct manager *manager)
{
    free(manager);
}

void *rule_new(size_t size, const struct settings *settings, const int64_t *values, rule_happened *happened)
{
    struct rule *rule = memory_must(calloc(1, size));
    rule->manager = (struct manager){.happened = happened, .next_us = next_tick, .free = rule_free};
    rule->max = settings->workers_max;
    memcpy(rule->values, values, sizeof rule->values);
    rule->tick_us = RIVAL_TICK_US;
    return rule;
}

int64_t rival_spawn(struct world *world, int64_t count, int64_t max)
{
    int64_t spawned = 0;
    while (spawned < count && world_staying(world) < max && world_free_slot(world) != WORLD_NONE) {
        world_spawn(world, world_free_slot(world));
        spawned++;
    }
    return spawned;
}

bool rival_retire(struct world *world)
{
    if (world->first_idle == WORLD_NONE)
        return false;
    world_retire(world, world->first_idle);
    return true;
}

/* ---- by name ---- */

static const struct rival *find(const char *spec)
{
    size_t length = strcspn(spec, ":");
    for (const struct rival *const *rival = rivals; *rival; rival++)
        if (strncmp((*rival)->name, spec, length) == 0 && (*rival)->name[length] == '\0')
            return *rival;
    return NULL;
}

static int64_t *find_parameter(const struct rival *rival, const char *name, size_t length, int64_t *values)
{
    for (size_t i = 0; rival->parameters[i]; i++)
        if (strncmp(rival->parameters[i], name, length) == 0 && rival->parameters[i][length] == '\0')
            return &values[i];
    return NULL;
}

static bool parse_value(const char **text, int64_t *value)
{
    char *end;
    if (!isdigit((unsigned char)**text))
        return false;
    errno = 0;
    long long number = strtoll(*text, &end, 10);
    if (errno || number > RIVAL_VALUE_MAX)
        return false;
    *value = number;
    *text = end;
    return true;
}

/* PARAMETER=NUMBER,... */
static bool parse(const struct rival *rival, const char *text, int64_t *values, char *ret_fault, size_t size)
{
    while (*text) {
        size_t length = strcspn(text, "=,");
        int64_t *value = find_parameter(rival, text, length, values);
        if (!value) {
            snprintf(ret_fault, size, "%s has no parameter \"%.*s\"", rival->name, (int)length, text);
            return false;
        }
        text += length;
        if (*text++ != '=' || !parse_value(&text, value) || (*text && *text != ',')) {
            snprintf(ret_fault, size, "parameters of %s are NAME=NUMBER,..., up to %d", rival->name,
                     RIVAL_VALUE_MAX);
            return false;
        }
        text += *text == ',';
    }
    return true;
}

struct manager *rival_new(const char *spec, const struct settings *settings, char *ret_fault, size_t size)
{
    int64_t values[RIVAL_PARAMETERS_MAX] = {0};
    const struct rival *rival = find(spec);
    const char *parameters = strchr(spec, ':');
    if (!rival) {
        snprintf(ret_fault, size, "there is no rival \"%s\"", spec);
        return NULL;
    }
    rival->map(settings, values);
    if (parameters && !parse(rival, parameters + 1, values, ret_fault, size))
        return NULL;
    struct manager *manager = rival->make(settings, values);
    manager->name = spec;
    return manager;
}
