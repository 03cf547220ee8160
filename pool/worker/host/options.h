/* The command line of the host, as the master writes it. */
#ifndef FCGIPOOL_POOL_WORKER_HOST_OPTIONS_H
#define FCGIPOOL_POOL_WORKER_HOST_OPTIONS_H

#include <stdbool.h>

enum options_class { OPTIONS_SYNC, OPTIONS_THREADS, OPTIONS_ASYNC };

struct options {
    enum options_class worker_class;
    bool scgi;
    int threads;         /* 1 to 1024 */
    int connections;     /* at a time, in the class async; 1 to 1000000 */
    int template_socket; /* -1: it serves by itself; see template.h */
    const char *app;
};

/* Returns whether they can be understood; if not, that was printed. */
bool options_parse(int argc, char **argv, struct options *ret_options);

#endif
