/*
 * What this process was started with, as it was then, so that another one can be started just so: an upgrade
 * runs the program that is there by now. Like the title a module with a state of its own.
 */
#ifndef FCGIPOOL_DAEMON_BASE_ORIGIN_H
#define FCGIPOOL_DAEMON_BASE_ORIGIN_H

struct origin {
    const char *program;   /* the absolute path of argv[0], found in PATH if it has no slash */
    const char *directory; /* the working directory; NULL: it could not be known */
    char **argv;
    char **environment;
};

/* Remembers it; to be called first of all. */
void origin_init(char **argv);

/* Lives as long as the process. */
const struct origin *origin_get(void);

#endif
