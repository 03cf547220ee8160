/*
 * A template (preload_app): a host that has loaded the application of one version of the control file, and
 * forks its workers off itself, with that in their memory. It is started when the first of them is wanted,
 * and again after its death; until it has loaded the application, starts wait. The workers become our
 * children, for we are their subreaper.
 */
#ifndef FCGIPOOL_DAEMON_TEMPLATE_H
#define FCGIPOOL_DAEMON_TEMPLATE_H

#include "daemon/kernel/spawn.h"

#include <signal.h>
#include <stdint.h>

struct master;
struct template;

/* Whether workers can be forked for the slots of `generation`. Starts the template if there is none. Returns
 * 1, 0 (once it has loaded the application, start_awaited is called; should it die before, start_missed), or
 * -errno with the step that failed. */
__attribute__((warn_unused_result)) int template_ready(struct master *master, uint64_t generation,
                                                       const char **ret_step);

/* As spawn_process, with the options that differ from worker to worker: environment, descriptors, session and
 * processors. Takes two seconds at most; a template that has not answered by then is killed. */
__attribute__((warn_unused_result)) int template_fork(struct master *master, uint64_t generation,
                                                      const struct spawn_options *options, pid_t *ret_pid,
                                                      const char **ret_step);

/* Ends the one of `generation`, if it is there: for the log and who waits at `start`, because of that. */
void template_kill(struct master *master, uint64_t generation, const char *why);

/* False: whoever has died was no template. */
bool template_ended(struct master *master, const siginfo_t *death);

/* Ends the process. Accepts NULL. */
void template_free(struct template *template);

#endif
