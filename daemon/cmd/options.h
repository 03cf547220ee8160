/*
 * What the subcommands share: the control file operand, repeated --set, and what is common to those that talk
 * to a master.
 */
#ifndef FCGIPOOL_DAEMON_CMD_OPTIONS_H
#define FCGIPOOL_DAEMON_CMD_OPTIONS_H

#include "daemon/base/exit_code.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The control file: the operand argv[index], else the first that exists of ./pool.json and
 * /etc/fcgipool/pool.json. NULL, after a message on stderr, when there is more than one operand or none of
 * the files. A file that is named need not exist. */
const char *options_file(int argc, char **argv, int index);

/* Prints "fcgipool COMMAND: " and the complaint to standard error, behind what was printed so far. Returns
 * `status`. */
__attribute__((format(printf, 3, 4))) int options_fail(const char *command, int status, const char *format,
                                                       ...);

/* The overrides of --set, in order; the strings are argv's. */
struct options_sets {
    char **items; /* owned */
    size_t count;
};

#define OPTIONS_SETS_INIT                                                                                    \
    {                                                                                                        \
        0                                                                                                    \
    }

/* "1.5" -> 1500: 0 to OPTIONS_SECONDS_MAX; what is more than 0 is at least 1 ms. */
#define OPTIONS_SECONDS_MAX 86400
bool options_seconds(const char *text, int64_t *ret_ms);

void options_sets_add(struct options_sets *sets, char *set);
void options_sets_fini(struct options_sets *sets);

/* What the commands that talk to a master take. */
struct options_client {
    const char *file;    /* the control file; meaningless with `control` */
    const char *control; /* --control PATH, or NULL */
};

/* One option of a command's own, --NAME: a switch that sets `flag`, or with an argument that `value` is to
 * point to. */
struct options_own {
    const char *name;
    bool *flag;         /* NULL: it takes an argument */
    const char **value; /* NULL: it takes none */
};
#define OPTIONS_OWN_MAX 8

/* Parses --control, --help, the command's own options (ended by one without a name; NULL: it has none) and
 * the control file. Returns true to go on, or false with the exit code: help or usage was printed, or there
 * is no control file. */
bool options_client(int argc, char **argv, const char *usage, const struct options_own *own,
                    struct options_client *ret_options, int *ret_code);

#endif
