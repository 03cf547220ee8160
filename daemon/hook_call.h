/*
 * One run of a hook (hooks.h), from when it is asked for until its process is reaped: what it is told, and
 * the process.
 */
#ifndef FCGIPOOL_DAEMON_HOOK_CALL_H
#define FCGIPOOL_DAEMON_HOOK_CALL_H

#include "pool/settings.h"

#include <ev.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct log_limit;
struct master;
struct output;

/* FCGIPOOL_... */
enum hook_variable {
    HOOK_HOOK,
    HOOK_POOL,
    HOOK_FILE,
    HOOK_MASTER_PID,
    HOOK_GENERATION,
    HOOK_SLOT,
    HOOK_INCARNATION,
    HOOK_PID,
    HOOK_REASON,
    HOOK_EXIT,
    HOOK_WORKERS,
    HOOK_WORKERS_BEFORE,
    HOOK_SUCCESSOR,
    HOOK_VARIABLES
};

struct hook_call {
    struct hook_call *next; /* for who has it */
    struct master *master;  /* borrowed */
    enum setting_id id;
    char *variables[HOOK_VARIABLES]; /* "NAME=value"; owned; NULL: none */
    pid_t pid;                       /* leader of its process group; 0: not started */
    bool killed;                     /* its end was logged */
    int64_t started_ms;
    struct output *output; /* owned; NULL: none, or no more */
    ev_timer limit;        /* of its time; for who has it */
};

/* "worker_exited": of a SETTING_ID_HOOK_... */
const char *hook_name(enum setting_id id);

/* One that is told what all are told. Out of memory ends the process, as in all of these. */
struct hook_call *hook_call_new(struct master *master, enum setting_id id, uint64_t generation);

/* Once a variable. */
__attribute__((format(printf, 3, 4))) void hook_call_tell(struct hook_call *call, enum hook_variable variable,
                                                          const char *format, ...);

/* "exit 1", "signal 9": how a child has ended. */
#define HOOK_DEATH_SIZE 32
void hook_describe(const siginfo_t *death, char ret_text[static HOOK_DEATH_SIZE]);

/* Starts it from the settings in effect, by which it is set. Returns whether it runs; if not, that was
 * logged. */
bool hook_call_start(struct hook_call *call, struct log_limit *limit);

/* Kills its process group, and logs it. It is to be reaped as ever. */
void hook_call_kill(struct hook_call *call, const char *why, struct log_limit *limit);

/* It has died, as waitid tells without having reaped it: ends what is left of its process group, hands on the
 * rest of its output, logs how it ended, and reaps it. */
void hook_call_bury(struct hook_call *call, const siginfo_t *death, struct log_limit *limit);

void hook_call_free(struct hook_call *call);

#endif
