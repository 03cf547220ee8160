/*
 * Reload (SIGHUP, `fcgipool reload`): the control file is read again, and a new generation of workers is
 * started from it, one after the other before those that it replaces (pool/rollout.h). What does not validate
 * is not adopted: every fault is logged and the pool goes on as it was. Settings of reload class LIVE take
 * effect at once, and are taken back with a generation that fails; another address is listened on beside the
 * one before (daemon/listeners.h); those of class RESTART that have changed are named in the log, and stay as
 * they were.
 */
#ifndef FCGIPOOL_DAEMON_RELOAD_H
#define FCGIPOOL_DAEMON_RELOAD_H

#include "daemon/base/problem.h"

#include <ev.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct action;
struct master;

enum reload_phase {
    RELOAD_NEVER,
    RELOAD_TRYING,    /* one worker of the new generation has to accept */
    RELOAD_REPLACING, /* it does; the others follow */
    RELOAD_DONE,
    RELOAD_FAILED,
};

/* How the last reload is going, or went. */
struct reload {
    enum reload_phase phase;
    int code;        /* FAILED: an exit code */
    char *reason;    /* FAILED: why; owned */
    int64_t floor;   /* of workers, as it has left them */
    ev_timer settle; /* at once, while the settings of the generation before are still to be put in effect */
};

void reload_init(struct master *master);

/* Begins, and returns 0; one that is under way is superseded. Or an exit code, with the reason: what is under
 * way goes on. A file that is valid also ends a pause. */
int reload(struct master *master, struct problem *problem);

/* There can be none now: it would change what two masters have. */
bool reload_is_held_up(const struct master *master);

/* The policy tells what becomes of the new generation. */
void reload_news(struct master *master, const struct action *action);

/* Its workers are not all there yet. */
bool reload_is_under_way(const struct reload *reload);

/* FAILED, and the settings of the generation before are not yet in effect. */
bool reload_settles(struct reload *reload);

/* {"state","replaced","reason"}, null before the first reload. */
json_t *reload_json(const struct master *master);

void reload_stop(struct master *master);

#endif
