/* A command's half of the control socket: finds the master, asks, shows progress, waits for the answer. */
#ifndef FCGIPOOL_DAEMON_CMD_CLIENT_H
#define FCGIPOOL_DAEMON_CMD_CLIENT_H

#include <jansson.h>
#include <stdint.h>

struct options_client;

/* Asks the master of the control file `file` to run `command`. `control`, if not NULL, is the path of its
 * control socket; else the file leads to it. Takes over `args` (NULL: none). Progress goes to standard error
 * when that is a terminal, errors always. Returns 0 with the result (a new reference), or the exit code: no
 * such master, or what the master answered. */
__attribute__((warn_unused_result)) int client_run(const char *file, const char *control, const char *command,
                                                   json_t *args, json_t **ret_result);

/* The same within `timeout_ms` (0: no limit): 75 when the time is over. The master goes on with it. */
__attribute__((warn_unused_result)) int client_run_within(int64_t timeout_ms, const char *file,
                                                          const char *control, const char *command,
                                                          json_t *args, json_t **ret_result);

/* A whole command that has no arguments of its own: argv[0] is its name here and there. Returns the exit
 * code, and the options with the result (a new reference; NULL where there is none, as after --help). */
int client_command(int argc, char **argv, const char *usage, struct options_client *ret_options,
                   json_t **ret_result);

/* One whose result says nothing more. */
int client_command_plain(int argc, char **argv, const char *usage);

#endif
