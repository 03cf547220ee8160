/*
 * The master: one pool, one event loop. It owns everything that the pool has, and is the only caller of
 * policy_step: whatever happens becomes an event (master_event), the actions that come back are executed by
 * act.
 *
 *   signals, reap, observe, control ──event──▶ policy_step ──actions──▶ act
 */
#ifndef FCGIPOOL_DAEMON_MASTER_H
#define FCGIPOOL_DAEMON_MASTER_H

#include "daemon/announce.h"
#include "daemon/base/log.h"
#include "daemon/changes.h"
#include "daemon/conf/conf.h"
#include "daemon/control.h"
#include "daemon/guard.h"
#include "daemon/hooks.h"
#include "daemon/inherit.h"
#include "daemon/kernel/state.h"
#include "daemon/listeners.h"
#include "daemon/load.h"
#include "daemon/orphans.h"
#include "daemon/pages.h"
#include "daemon/reload.h"
#include "daemon/requests.h"
#include "daemon/slowlog.h"
#include "daemon/upgrade.h"
#include "daemon/versions.h"
#include "daemon/wakeup.h"
#include "daemon/worker.h"
#include "pool/policy.h"

#include <ev.h>
#include <sys/resource.h>

/* Events that wait for their turn: an action that fails at once reports it while a step is being executed. */
struct event_queue {
    struct event *items; /* owned */
    size_t count, capacity;
};

struct master {
    struct ev_loop *loop;
    const struct conf *conf;  /* borrowed; of the start, for what stays until the end */
    const struct conf *live;  /* borrowed; for the settings of class LIVE */
    struct versions versions; /* what the workers are started from */
    struct reload reload;
    struct upgrade upgrade;          /* to the master after this one */
    struct inheritance *inheritance; /* borrowed; from the one before */
    struct changes changes;          /* that reload by themselves */
    struct settings settings;        /* in effect */
    const char *name;                /* borrowed from conf, as is the next */
    char *pidfile;                   /* owned; NULL: none, or not yet written */
    struct listeners listeners;

    struct policy policy;
    struct actions actions;
    struct worker *workers; /* owned; one a slot of the policy, same index */
    struct pages pages;
    struct wakeup wakeup; /* by workers */
    struct requests requests;
    struct load_watch load;
    struct guard guard;
    struct hooks hooks;
    struct slowlog *slowlog; /* owned; NULL before the logs are open */
    bool unseen_said;        /* that there are workers without the library */
    struct event_queue events;
    bool stepping; /* master_event is at work further up the stack */

    struct output_file *output_file; /* owned; NULL: not wanted so far */
    struct state state;              /* who the workers are, for the master after us */
    struct orphans orphans;          /* workers of the master before us */

    struct control control;
    struct announce *announce; /* borrowed */
    ev_io signals;
    bool outlives_terminal; /* it was started with SIGHUP ignored */
    ev_timer deadline;      /* policy_deadline */
    ev_timer look_starts;   /* while workers start: do they accept? */
    ev_timer look_retired;  /* while workers retire: have they no request in hand? */
    ev_timer weigh;         /* while max_memory is set: who is too large? */
    uint32_t weighed;       /* the slot that was last looked at closely */
    ev_timer look_queue;    /* while connections are refused: is the queue empty? */
    ev_periodic never;      /* keeps libev from waking up by itself */

    struct rlimit descriptors;     /* RLIMIT_NOFILE as it was, for the workers */
    struct log_limit limit_starts; /* repeated troubles, each rate-limited by itself */
    struct log_limit limit_exits;
    struct log_limit limit_state;
    struct log_limit limit_overdue;
    struct log_limit limit_hangups;
    struct log_limit limit_want;
};

/* Runs the pool of `conf` in this process until it was stopped, and tells `announce` of it; as the new master
 * of an upgrade, if there is an inheritance. Where `passed` has a socket, it is taken over and is the pool's
 * listener. Returns an exit code (exit_code.h): done, not now (already running) or failed; what went wrong
 * before the loop began, or why a pool in the background did not become ready, is printed to standard error.
 */
int master_run(const struct conf *conf, struct announce *announce, struct inheritance *inheritance,
               struct listener *passed);

/* Feeds the policy and executes what it decides. `slot` and `number` as the event wants them. */
void master_event(struct master *master, enum event_type type, uint32_t slot, int64_t number);

/* Feeds it a look at the load. */
void master_load(struct master *master, const struct load *load);

/* Logs that the state file could not be written, if it could not; the pool goes on. */
void master_note(struct master *master, int state_result);

/* No worker of a former master is left: a stop that waited for them ends. */
void master_orphans_gone(struct master *master);

/* Ends the loop when the pool has stopped and nobody is left to be waited for. */
void master_end_if_done(struct master *master);

/* The other master of an upgrade serves from our listener, too, or others keep it for who comes after us:
 * what waits there does not wait for us alone. */
bool master_shares_listener(const struct master *master);

/* Scaling by hand: asks for `number` workers, or for `number` more when `relative`; within
 * +-POLICY_WORKERS_MAX. */
void master_scale(struct master *master, int64_t number, bool relative);

/* The settings have new values: makes room for what they ask for, and tells the policy by `event`, SETTINGS
 * or ROLL_OUT with the `place` of the new generation. */
void master_settings(struct master *master, enum event_type event, uint64_t place);

#endif
