/*
 * The new master of an upgrade, as long as the old one is there (upgrade.h is the old one's half): it serves
 * from the listener that it was given, beside the old one's workers, and goes by other names: its control
 * socket, state file and pidfile end in ".2". When the old one has gone it takes over what that had.
 * It is the same program as any other master, started the same way: what it was given makes the difference.
 */
#ifndef FCGIPOOL_DAEMON_INHERIT_H
#define FCGIPOOL_DAEMON_INHERIT_H

#include "daemon/base/problem.h"
#include "daemon/handover.h"

#include <ev.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct conf;
struct listener;
struct master;

struct inheritance {
    int fds[HANDOVER_FDS];        /* owned; -1: not given, or in other hands by now */
    json_t *will;                 /* the first message; owned. NULL: nobody is to be succeeded */
    bool waits;                   /* the old master is there */
    bool shared;                  /* the listener is the old one's */
    bool ready, settled, leaving; /* said */
    bool promised;                /* that what waits in the listener is ours */
    int complaints;               /* owned; where the old one reads what goes wrong; -1 */
    ev_io link;
};

/* Takes what was given out of the environment, if anything was. To be called before conf_load. */
void inherit_take(struct inheritance *ret_inheritance);
void inherit_fini(struct inheritance *inheritance);

/* What a path is called as long as the old master is there; owned by the caller. NULL stays NULL. */
char *inherit_path(const struct inheritance *inheritance, const char *path);

/* The generation of the first workers: 1, or the one after the old master's. */
uint64_t inherit_generation(const struct inheritance *inheritance);

/* Whether the control file is one of the old master's pool, which has a control socket already. Returns 0, or
 * -EINVAL with the reason. */
__attribute__((warn_unused_result)) int inherit_check(const struct inheritance *inheritance,
                                                      const struct conf *conf, struct problem *problem);

/* Who the pool was: the generation, how many workers it has, and the number that was set by hand; before
 * START. */
void inherit_policy(struct master *master);

/* Standard output and error are the old master's from now on, as its log and its workers' output are; what is
 * printed after inherit_complain is for the old one to read. */
void inherit_standard(struct inheritance *inheritance);
void inherit_complain(struct inheritance *inheritance);

/* The old master's listener, if it is at the address that this one's control file wants, or the socket of
 * others that the file names. Returns 0 with it, 1: it is another address, or -errno with the reason. Nothing
 * of it is changed before the old one has gone.
 */
__attribute__((warn_unused_result)) int inherit_listener(struct master *master, struct listener *ret_listener,
                                                         struct problem *problem);

/* From the moment when the master has all it needs: waits for the old one to go. */
void inherit_start(struct master *master);

/* The old one waits for this one to serve, and wants to know why it does not. */
bool inherit_is_awaited(const struct master *master);

/* Looks what the old one has to say, and whether it is still there: at the end, for who has gone may have
 * left it to us to clear up. */
void inherit_look(struct master *master);

/* To be called when something has happened in the pool: tells the old one when others may rely on it. */
void inherit_notify(struct master *master);

/* True when the listener is not ours alone: others serve there, so it neither refuses nor goes. */
bool inherit_shares(const struct master *master);

/* {"state":"second","pid"} while the old one is there, else NULL. */
json_t *inherit_json(const struct master *master);

void inherit_stop(struct master *master);

#endif
