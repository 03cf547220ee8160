/*
 * A template (preload_app): a host that has loaded the application of one version of the control file, and
 * forks its workers off itself, with that in their memory. It is started when the first of them is wanted,
 * and again after its death. The workers become our children, for we are their subreaper. Loading and forking
 * take their time, more so with much memory; nobody waits for them but the slots.
 */
#ifndef FCGIPOOL_DAEMON_TEMPLATE_H
#define FCGIPOOL_DAEMON_TEMPLATE_H

#include "daemon/kernel/spawn.h"

#include <signal.h>
#include <stdint.h>

struct master;
struct template_process;

/* Whether the template of `generation` can take an order; starts it if there is none. Returns 1, 0 (start_on
 * is called when it can, start_again or start_missed when it has died), or -errno with the step that failed.
 */
__attribute__((warn_unused_result)) int template_ready(struct master *master, uint64_t generation,
                                                       const char **ret_step);

/* Orders a worker from a template that is ready, which it is not then until it has answered (start_forked).
 * Of the options those that differ from worker to worker are meant: environment (plain_envp), descriptors,
 * session and processors. Returns 0 or -errno. */
__attribute__((warn_unused_result)) int template_order(struct master *master, uint64_t generation,
                                                       uint64_t serial, const struct spawn_options *options);

/* Ends the one of `generation`, if it is there; says why, in the log and to who waits at `start`. */
void template_kill(struct master *master, uint64_t generation, const char *why);

/* False: whoever has died was no template. */
bool template_ended(struct master *master, const siginfo_t *death);

/* Ends the process, its group, and whom it has forked since it was last heard. Accepts NULL. */
void template_free(struct template_process *template);

#endif
