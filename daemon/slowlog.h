/*
 * The slow log: one line a request that takes longer than slowlog.threshold, to slowlog.file or to the log,
 * and with slowlog.stack what the worker was doing just then. As text
 *
 *   2026-11-20T12:00:00.123+00:00 POOL worker 3 pid 4711: GET /slow?x=1 5012 ms
 *       TID 4711:
 *       #0  0x00007f9548b57503 clock_nanosleep
 *
 * or with log.format "json" as one object a line, {"time":...,"pool":...,"worker":...,"pid":...,"method":...,
 * "uri":...,"age_ms":...} with "stack":[lines]. Nothing here waits: the line of a request whose stack is
 * being taken is written when that is done, within STACK_LIMIT_MS; stacks are taken one at a time, and a
 * request that is slow meanwhile has its line at once, without one.
 */
#ifndef FCGIPOOL_DAEMON_SLOWLOG_H
#define FCGIPOOL_DAEMON_SLOWLOG_H

#include "daemon/base/log.h"
#include "daemon/kernel/credentials.h"

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct slowlog;

/* Borrowed for the call; the strings are any bytes, "" when unknown. */
struct slow_request {
    uint32_t slot;
    pid_t pid; /* who has it in hand; a process of the worker */
    const char *method;
    const char *uri;
    int64_t age_ms;
    bool no_stack; /* the worker is being retired by stop-inspect-kill, or aborted: it must not be stopped */
};

/* To the log at first, without stacks. `pool` (copied) is its name; eu-stack will run with `credentials`
 * (borrowed; NULL: ours), which should be the workers'. Out of memory ends the process. */
struct slowlog *slowlog_new(struct ev_loop *loop, const char *pool, const struct credentials *credentials);

/* From now on; when stacks are asked for that cannot be had, the log says so. */
void slowlog_configure(struct slowlog *slowlog, enum log_format format, bool stack);

/* Goes to `path` from now on (NULL: to the log); see sink_open. Returns 0, or -errno, and the former
 * destination stays. */
__attribute__((warn_unused_result)) int slowlog_open(struct slowlog *slowlog, const char *path);

/* Opens the same path anew. Returns 0 (also without a file), or -errno, and the old file goes on being used.
 */
__attribute__((warn_unused_result)) int slowlog_reopen(struct slowlog *slowlog);

/* The path, borrowed until the next opening; NULL: the log. */
const char *slowlog_path(const struct slowlog *slowlog);

/* To be called once a request. */
void slowlog_report(struct slowlog *slowlog, const struct slow_request *request);

/* Writes what waits (a stack that is not complete is left out), closes and frees. Accepts NULL. */
void slowlog_free(struct slowlog *slowlog);

#endif
