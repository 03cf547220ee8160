/* What came of a simulation, for people and for programs. */
#ifndef FCGIPOOL_DAEMON_SIMULATE_REPORT_H
#define FCGIPOOL_DAEMON_SIMULATE_REPORT_H

#include "daemon/simulate/ideal.h"
#include "daemon/simulate/run.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct report {
    const char *source;   /* the trace's file, or its kind; borrowed, as are the following */
    const uint64_t *seed; /* NULL: it is a file's */
    const struct settings *settings;
    const struct trace *trace;
    int64_t start_us;
    struct ideal ideal;
    const struct run_outcome *outcomes; /* fcgipool's, then the rivals' */
    size_t count;
};

void report_print(const struct report *report, FILE *stream);

/* The object that fcgipool(1) tells of; the caller's. */
json_t *report_json(const struct report *report);

#endif
