/*
 * A trace: when requests arrive, and how long each keeps a worker busy. Read from a file, one line a request,
 * or generated; in the order of arrival. Times are microseconds from the begin of the trace.
 */
#ifndef FCGIPOOL_DAEMON_SIMULATE_TRACE_H
#define FCGIPOOL_DAEMON_SIMULATE_TRACE_H

#include "daemon/base/problem.h"

#include <stddef.h>
#include <stdint.h>

/* The longest trace, and the longest time of service. */
#define TRACE_AT_MAX_MS      INT64_C(2592000000)
#define TRACE_SERVICE_MAX_MS INT64_C(86400000)

/* The first line of a file. */
#define TRACE_HEADER "at_ms,service_ms"

struct trace_request {
    int64_t at_us;
    int64_t service_us;
};

/* Zero-initialized: empty. */
struct trace {
    struct trace_request *items; /* owned */
    size_t count, room;
    int64_t end_us; /* when it is over; the last request arrives no later */
};

void trace_add(struct trace *trace, int64_t at_us, int64_t service_us);

/* Puts the requests into the order of arrival; those that arrive at the same time stay in theirs. */
void trace_sort(struct trace *trace);

/* Reads a file: the header, then AT,SERVICE in milliseconds, with up to three decimals, no line earlier than
 * the one before it. It ends with the last arrival. Every fault is added to `problems`. Returns 0, or -EINVAL
 * or another -errno, and the trace is empty then. */
__attribute__((warn_unused_result)) int trace_read(const char *file, struct trace *trace,
                                                   struct problems *problems);

void trace_fini(struct trace *trace);

#endif
