/* The exit codes of the commands, which are the error codes of the control socket too. */
#ifndef FCGIPOOL_DAEMON_BASE_EXIT_CODE_H
#define FCGIPOOL_DAEMON_BASE_EXIT_CODE_H

/* As in sysexits.h where it has one. */
enum exit_code {
    EXIT_DONE = 0,
    EXIT_USAGE = 64,
    EXIT_NO_MASTER = 69,
    EXIT_FAILED = 70,
    EXIT_NOT_NOW = 75,
    EXIT_BAD_CONFIG = 78,
};

#endif
