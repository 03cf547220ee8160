/*
 * Hooks: programs of the control file (`hooks`) that are run when something happens to the pool, apart from
 * the master. Nobody waits for one but at the very end, none may take longer than hooks.timeout, and how it
 * ends is logged and has no consequence. They are who the master is, in `chdir`, with the umask of the
 * workers, in sessions of their own; their input is empty, their output goes to the log. Their environment is
 * the master's, and
 *
 *   FCGIPOOL_HOOK, FCGIPOOL_POOL, FCGIPOOL_FILE,
 *   FCGIPOOL_MASTER_PID                           whose, and when
 *   FCGIPOOL_GENERATION                           of the worker, else of the pool
 *   FCGIPOOL_SLOT, FCGIPOOL_INCARNATION,
 *   FCGIPOOL_PID                                  of the worker: worker_...
 *   FCGIPOOL_REASON                               of its start, abort or end; "": nobody asked for that
 *   FCGIPOOL_EXIT                                 worker_exited: "exit 1", "signal 9"
 *   FCGIPOOL_WORKERS, FCGIPOOL_WORKERS_BEFORE     workers_changed: now, and when it was last told
 *   FCGIPOOL_SUCCESSOR                            on_exit: the master that takes our place, if one does
 *
 * Each hook has HOOKS_RUNNING_MAX runs at one time, and as many as HOOKS_WAITING_MAX that wait in order for
 * one of these to end; what comes on top of that is dropped, counted and logged. Only workers_changed is
 * never run beside itself: when it ends, it is run again if the number is another one by then.
 */
#ifndef FCGIPOOL_DAEMON_HOOKS_H
#define FCGIPOOL_DAEMON_HOOKS_H

#include "daemon/base/log.h"
#include "daemon/conf/conf.h"

#include <ev.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#define HOOKS_RUNNING_MAX 8
#define HOOKS_WAITING_MAX 256

struct hook_call;
struct master;

/* What one setting asks for. */
struct hook {
    struct hook_call *calls; /* owned; in order: those that run, among them such as wait */
    unsigned running, waiting;
    uint64_t dropped;
    struct log_limit limit;
};

struct hooks {
    struct hook items[CONF_HOOKS];
    uint32_t workers; /* that serve, as last told */
    ev_timer turn;    /* while there is room for such as wait */
    bool leaving;     /* the master waits for them; ends when that is false */
    bool hurried;     /* it was told not to wait long */
    ev_timer patience;
};

void hooks_init(struct master *master);

/* The functions below that run a hook do nothing where it is not set. `hook` is one of SETTING_ID_HOOK_... */

/* Runs a hook that is about the pool. */
void hooks_pool(struct master *master, enum setting_id hook);

/* Runs a hook that is about the worker in `slot`; `reason` NULL: none is told. */
void hooks_worker(struct master *master, enum setting_id hook, uint32_t slot, const char *reason);

/* Runs worker_exited; the slot is not yet empty. */
void hooks_exited(struct master *master, uint32_t slot, const siginfo_t *death);

/* The number of workers that serve may have changed. */
void hooks_workers(struct master *master);

/* Reaps a child that has died if it was a hook's, and ends what is left of its process group. Returns whether
 * it was. */
bool hooks_reap(struct master *master, const siginfo_t *death);

/* The pool has stopped: runs the loop until the hooks that run or wait have ended, then on_exit, and the loop
 * until that has ended, each for hooks.timeout at most. */
void hooks_leave(struct master *master);

/* Somebody does not want to wait: ends what hooks_leave waits for, if it does, and lets it wait no longer
 * than POLICY_QUICK_MS from then on. */
void hooks_hurry(struct master *master);

/* Frees all of it. To be called when no hook runs, but for those that were killed. */
void hooks_fini(struct master *master);

#endif
