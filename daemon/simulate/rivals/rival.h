/*
 * The rules by which other process managers decide how many workers there are, as their documentation tells
 * them and as they were measured; in the same world, with the same workers, so that the rules alone are
 * compared. What they take from the control file is said beside each rule's `map`.
 */
#ifndef FCGIPOOL_DAEMON_SIMULATE_RIVALS_RIVAL_H
#define FCGIPOOL_DAEMON_SIMULATE_RIVALS_RIVAL_H

#include "daemon/simulate/world.h"
#include "pool/settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RIVAL_TICK_US        1000000
#define RIVAL_PARAMETERS_MAX 12
#define RIVAL_VALUE_MAX      86400

struct rival {
    const char *name;
    const char *const *parameters; /* their names in that manager, ended by NULL */
    /* The parameters that fit to a control file, in the order of their names. */
    void (*map)(const struct settings *settings, int64_t *values);
    /* Owned by the caller, who calls its `free`. */
    struct manager *(*make)(const struct settings *settings, const int64_t *values);
};

extern const struct rival rival_fpm_dynamic, rival_fpm_ondemand, rival_uwsgi_spare, rival_uwsgi_busyness;

/* All, ended by NULL. */
extern const struct rival *const rivals[];

/* A rival by "NAME" or "NAME:PARAMETER=NUMBER,...", or NULL and a text that says why there is none. `spec`
 * becomes the manager's name and stays the caller's. */
struct manager *rival_new(const char *spec, const struct settings *settings, char *ret_fault, size_t size);

/* ---- for the rules ---- */

/* What they have in common: each looks once a second. The first member of a rule's own struct. */
struct rule {
    struct manager manager;
    int64_t max, values[RIVAL_PARAMETERS_MAX];
    int64_t tick_us; /* the next look */
};

typedef void rule_happened(struct manager *manager, struct world *world, enum world_event event,
                           uint32_t slot);

/* `size` bytes that begin with a struct rule, all else 0. As long as the rule does not set others, `next_us`
 * tells the next look, which is a second from the beginning, and `free` frees these bytes. */
void *rule_new(size_t size, const struct settings *settings, const int64_t *values, rule_happened *happened);

/* Starts up to `count` workers, while fewer than `max` stay. Returns how many. */
int64_t rival_spawn(struct world *world, int64_t count, int64_t max);

/* Retires the worker that has been idle for the longest time; false: nobody is idle. */
bool rival_retire(struct world *world);

#endif
