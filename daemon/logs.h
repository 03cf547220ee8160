/*
 * The files that a pool writes lines to: the log, slowlog.file and, with worker_output "file",
 * worker_output_file. Opened at start, and anew when they were renamed (USR1, `fcgipool reopen`).
 */
#ifndef FCGIPOOL_DAEMON_LOGS_H
#define FCGIPOOL_DAEMON_LOGS_H

#include "daemon/base/problem.h"

struct conf;
struct master;

/* The files of the master's conf, and log.level and log.format. Returns 0, or -errno with the reason. */
__attribute__((warn_unused_result)) int logs_open(struct master *master, struct problem *problem);

/* slowlog.file and worker_output_file as `conf` has them, from now on. Returns 0, or -errno with the reason,
 * and they are those of the settings in effect. */
__attribute__((warn_unused_result)) int logs_change(struct master *master, const struct conf *conf,
                                                    struct problem *problem);

/* log.level, log.format and slowlog.stack likewise. */
void logs_configure(struct master *master, const struct conf *conf);

/* The files anew. One that cannot be opened goes on being used; that is logged, and the (last) reason
 * returned as -errno. */
int logs_reopen(struct master *master, struct problem *problem);

/* To be called when no worker's output is left. */
void logs_close(struct master *master);

#endif
