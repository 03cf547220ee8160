/*
 * Starting the process of a worker: by exec of the command, or off a template that has the application in
 * memory (preload_app).
 */
#ifndef FCGIPOOL_DAEMON_START_H
#define FCGIPOOL_DAEMON_START_H

#include "daemon/conf/conf.h"
#include "daemon/kernel/spawn.h"
#include "daemon/output.h"
#include "pool/host.h"
#include "pool/reason.h"

#include <stdint.h>

struct master;

/* Starts the worker of a slot, or lets it wait for its template; a failure becomes an event. */
void start_worker(struct master *master, uint32_t slot, enum reason reason);

/* The template of `generation` can take an order: the next one that waits is ordered. */
void start_on(struct master *master, uint64_t generation);

/* A template has answered an order. Returns whether the worker is wanted (still), and known by its pid now.
 */
__attribute__((warn_unused_result)) bool start_forked(struct master *master,
                                                      const struct fork_answer *answer);

/* The template of `generation` has died: those who wait wait for another, or are missed. */
void start_again(struct master *master, uint64_t generation);
void start_missed(struct master *master, uint64_t generation);

/* A slot is to end, for that reason. True when it has no process: it still waits, which is over then (and its
 * template, if that has taken too long), or its start has failed in this very step, and the policy will hear
 * of it next. */
bool start_is_given_up(struct master *master, uint32_t slot, enum reason reason);

/* For what else is started as workers are: fills in what the control file says of the process, and opens its
 * output (as output_open; with worker_output "inherit" there is neither object nor descriptor, which is -1
 * then). */
void start_describe(const struct master *master, const struct conf *conf, struct spawn_options *options);
__attribute__((warn_unused_result)) int start_output(struct master *master, const struct conf *conf,
                                                     uint32_t slot, struct output **ret_output, int *ret_fd);

#endif
