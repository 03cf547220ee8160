/*
 * Upgrade (SIGUSR2, `fcgipool upgrade`): a second master is started from the program that is on disk now, as
 * this one was started, with the sockets of this one (handover.h). It starts workers of its own beside ours
 * and reads the control file anew. Once it serves we can leave, and it takes our place (inherit.h is its
 * half); or it leaves, and nothing has happened. Until it serves it is ours to end.
 */
#ifndef FCGIPOOL_DAEMON_UPGRADE_H
#define FCGIPOOL_DAEMON_UPGRADE_H

#include "daemon/base/problem.h"

#include <ev.h>
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

struct master;

enum upgrade_phase {
    UPGRADE_NEVER,
    UPGRADE_STARTING,
    UPGRADE_READY,   /* a worker of the new master accepts */
    UPGRADE_SETTLED, /* as many as it wants do */
    UPGRADE_LEAVING, /* it stops, by our order or somebody else's */
    UPGRADE_FAILED,  /* it has gone, or never came */
};

/* What it says that goes wrong, in bytes; more is not kept. */
#define UPGRADE_COMPLAINT_SIZE 2048

struct upgrade {
    enum upgrade_phase phase;
    pid_t pid;     /* of the new master, until it was reaped; 0: there is none */
    bool leaves;   /* we go as soon as it is settled */
    bool started;  /* it has said that it is a master */
    bool served;   /* it was ready once */
    bool shared;   /* and serves from our listener */
    bool too_late; /* it was ended because it did not start, or end, in time */
    bool asked;    /* whether it takes what waits in the listener; the answer is not there yet */
    bool bereft;   /* it has died when we had begun to leave */
    char *pidfile; /* where its pidfile is to be in the end; owned, NULL: nowhere */
    int code;      /* FAILED: an exit code */
    char *reason;  /* FAILED: why; owned */
    ev_io link;    /* its fd is -1 when there is none; owned, as is the next one's */
    ev_io complaints;
    char complaint[UPGRADE_COMPLAINT_SIZE]; /* what it printed */
    ev_timer limit;                         /* of its life, until it has started; and when it leaves */
};

void upgrade_init(struct master *master);

/* Starts the second master. `leaves`: this one goes when the second has as many workers as it wants. Returns
 * 0 or an exit code with the reason: nothing was done. */
int upgrade_start(struct master *master, bool leaves, struct problem *problem);

/* The process that has ended is the second master: takes note, and leaves it to be reaped. */
bool upgrade_ended(struct master *master, const siginfo_t *death);

/* Asks the new master whether what waits in the listener is its own now. If so QUEUE_EMPTY is reported: it is
 * empty for us; if not, new connections are refused as without it. */
void upgrade_ask(struct master *master);

/* The pool begins to stop: a second master that is not ready goes with it. */
void upgrade_at_stop(struct master *master);

/* Ends the second master, if there is one, whatever it has come to; `quick`: at once, but for one that takes
 * our place. */
void upgrade_end(struct master *master);
void upgrade_end_quick(struct master *master);

/* Passes a signal on that is meant for all masters of the pool. */
void upgrade_forward(const struct master *master, int number);

/* A second master that is ready takes our place when we go, with our listener or with one of its own. */
bool upgrade_has_heir(const struct master *master);
bool upgrade_leaves_listener(const struct master *master);

/* The pool must not end yet: the second master is about to. */
bool upgrade_holds(const struct master *master);

/* {"state","pid","reason"}, null before the first. */
json_t *upgrade_json(const struct master *master);

/* Whoever is to take our place learns what we have counted and what was asked of us, and gets its pidfile. */
void upgrade_bequeath(struct master *master);

/* For the very end, when all that the new master is to take is as it will be: it hears of this. */
void upgrade_stop(struct master *master);

#endif
