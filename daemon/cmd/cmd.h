/*
 * The subcommands, one a file (cmd_NAME.c). argv[0] is the subcommand; each returns an exit code
 * (daemon/base/exit_code.h).
 */
#ifndef FCGIPOOL_DAEMON_CMD_CMD_H
#define FCGIPOOL_DAEMON_CMD_CMD_H

int cmd_check(int argc, char **argv);
int cmd_pause(int argc, char **argv);
int cmd_reload(int argc, char **argv);
int cmd_reopen(int argc, char **argv);
int cmd_request(int argc, char **argv);
int cmd_resume(int argc, char **argv);
int cmd_scale(int argc, char **argv);
int cmd_simulate(int argc, char **argv);
int cmd_start(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_stop(int argc, char **argv);
int cmd_upgrade(int argc, char **argv);
int cmd_version(int argc, char **argv);

#endif
