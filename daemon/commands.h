/*
 * The master's half of the commands: what a request on the control socket does.
 */
#ifndef FCGIPOOL_DAEMON_COMMANDS_H
#define FCGIPOOL_DAEMON_COMMANDS_H

#include "daemon/control.h"

/* Answers `client` now or, for a command that takes time, later. `args` is an object, borrowed, or NULL. An
 * unknown command is an error that the client sees. */
void commands_run(struct master *master, struct control_client *client, const char *command,
                  const json_t *args);

#endif
