/*
 * Whom the master tells unasked how its pool fares: systemd (notify), and the command that waits for a master
 * in the background (detach). A pool in the background that fails before it was ever ready is stopped, for
 * somebody waits for the answer; in the foreground it goes on trying.
 */
#ifndef FCGIPOOL_DAEMON_ANNOUNCE_H
#define FCGIPOOL_DAEMON_ANNOUNCE_H

#include "daemon/detach.h"
#include "daemon/notify.h"

struct conf;
struct master;

struct announce {
    struct notify notify;
    struct detach detach;
    bool ready;    /* the pool was running once */
    bool failed;   /* it was stopped because it did not come up */
    bool stopping; /* said, as is the next */
    bool reloading;
};

/* Takes what is meant for us alone out of the environment, which the workers inherit from conf_load on:
 * they must not speak for the master. To be called before that, and before a fork. */
void announce_init(struct announce *ret_announce);

/* To be called once the master has all it needs, before the pool's first event. */
void announce_start(struct master *master);

void announce_stop(struct master *master);

/* The pool's state has changed. */
void announce_state(struct master *master);

/* A reload is asked for: systemd is told so, until announce_workers finds that none is under way. */
void announce_reload(struct master *master);

/* The number of workers, or how a reload is going, may have changed. */
void announce_workers(struct master *master);

/* To be called when nothing of the pool is left: says on standard error why it did not come up, if it was
 * stopped for that. Returns true then. `apart`: that is not where the log may go. */
bool announce_failure(const struct announce *announce, const struct conf *conf, bool apart);

#endif
