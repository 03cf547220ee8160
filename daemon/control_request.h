/*
 * One line on the control socket -> what is asked for, or why it is refused:
 * {"v":1,"command":NAME,"file":PATH,"args":{}}, where "file" and "args" may be left out. Knows nothing of
 * sockets and of the pool. Members that it does not know are passed over, so that newer clients can ask.
 */
#ifndef FCGIPOOL_DAEMON_CONTROL_REQUEST_H
#define FCGIPOOL_DAEMON_CONTROL_REQUEST_H

#include "daemon/base/problem.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct control_request {
    json_t *json;        /* owned; the others are borrowed from it */
    const char *command; /* any text: who carries it out knows the names */
    const json_t *args;  /* an object, or NULL */
};

/* Reads `length` bytes for the master that runs as `name` from the control file `file` (absolute). Returns 0,
 * and the request is to be released; or the exit code with the reason in `problem`: EXIT_USAGE (no request,
 * or one of another version of the protocol), EXIT_NO_MASTER (meant for the master of another file). */
__attribute__((warn_unused_result)) int control_request_init(struct control_request *ret_request,
                                                             const char *line, size_t length,
                                                             const char *name, const char *file,
                                                             struct problem *problem);
void control_request_fini(struct control_request *request);

/* What `scale` takes, for a pool that can have `low` to `high` workers. A relative number may lead out of
 * that range, but is itself no larger than a pool can be. Returns 0 or EXIT_USAGE with the reason in
 * `problem`. */
__attribute__((warn_unused_result)) int control_request_scale(const json_t *args, int64_t low, int64_t high,
                                                              int64_t *ret_number, bool *ret_relative,
                                                              struct problem *problem);

#endif
