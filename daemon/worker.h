/*
 * What the daemon knows of the process in a slot: the handle beside the policy's slot of the same index.
 */
#ifndef FCGIPOOL_DAEMON_WORKER_H
#define FCGIPOOL_DAEMON_WORKER_H

#include "daemon/kernel/retire.h"
#include "daemon/output.h"

struct worker {
    pid_t pid;                    /* 0: nobody; leader of its process group; not yet reaped */
    struct output *output;        /* owned; NULL without a process, or when it has our own */
    struct retirement retirement; /* meaningful while the slot is RETIRING */
};

#endif
