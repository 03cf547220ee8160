/*
 * One FastCGI or SCGI request to a worker, as a web server makes it, with the answer on stdout and what the
 * worker complains of on stderr. Blocks until the answer is complete; for commands, not for the master.
 */
#ifndef FCGIPOOL_DAEMON_CMD_REQUEST_H
#define FCGIPOOL_DAEMON_CMD_REQUEST_H

#include "daemon/cmd/dialect.h"
#include "daemon/kernel/address.h"

#include <stdbool.h>
#include <stdint.h>

/* All borrowed. */
struct request {
    struct address address;
    const struct dialect *dialect;
    const struct pair *params;
    size_t param_count;
    struct bytes body;
    int64_t timeout_ms; /* from connecting to the end of the answer; at most a day; 0: none */
    bool include;       /* print the response header too */
    bool verbose;       /* tell on stderr how long it took */
};

/* Returns the status to exit with: 0 a complete answer with a status below 500; 69 nobody listens; 75 timed
 * out; 70 otherwise, 64 for parameters that cannot be encoded. Every status but 0 has been explained on
 * stderr. */
int request_run(const struct request *request);

#endif
