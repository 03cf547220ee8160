/*
 * The listening socket that whoever starts the master has opened for its pool: passed by systemd's protocol
 * of socket activation (`listen`: "systemd"), or a descriptor that the control file names ("fd:N").
 */
#ifndef FCGIPOOL_DAEMON_ACTIVATION_H
#define FCGIPOOL_DAEMON_ACTIVATION_H

#include "daemon/base/problem.h"
#include "daemon/kernel/listener.h"

#include <sys/types.h>

struct conf;

struct activation {
    int count;   /* of the sockets that were passed to this process */
    pid_t other; /* they were passed to that one, and not to us; 0: to nobody else */
    char *names; /* owned; of the sockets, separated by colons; NULL: they have none */
    struct listener listener;
};

/* Takes LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES out of the environment, which workers inherit from
 * conf_load on. To be called before that, and in the process that they were meant for. */
void activation_take(struct activation *ret_activation);

/* Opens the socket that the control file names into `listener`, which stays closed if the pool is to bind one
 * itself, and closes what else was passed. Standard input then is no socket of anybody's (see
 * activation_leave_stdin). Returns 0, or -errno with the reason, and its place in the control file, in
 * `problem`: what was passed and what the file asks for do not go together. */
__attribute__((warn_unused_result)) int activation_open(struct activation *activation,
                                                        const struct conf *conf, struct problem *problem);

void activation_fini(struct activation *activation);

/* A program that a worker started, as a CGI script may start a pool, has the worker's listening socket as its
 * standard input. Who holds that is a worker, for the master that comes after the worker's; so it gets
 * /dev/null instead. */
void activation_leave_stdin(void);

#endif
