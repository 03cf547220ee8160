/*
 * What a worker or a hook writes to its standard output and error: read line by line and handed on, to the
 * log (tagged with slot or name, and pid) or to worker_output_file (as it was written). A line that is too
 * long comes in pieces, each a line of its own. A worker that writes without pause costs the others nothing:
 * a bounded amount is read at each wake-up.
 */
#ifndef FCGIPOOL_DAEMON_OUTPUT_H
#define FCGIPOOL_DAEMON_OUTPUT_H

#include <ev.h>
#include <stdint.h>
#include <sys/types.h>

struct output;
struct output_file;

/* The slot of a worker that has none, for it is a former master's. */
#define OUTPUT_NO_SLOT UINT32_MAX
/* That of a template (template.h). */
#define OUTPUT_TEMPLATE (UINT32_MAX - 1)

/* Makes the pipe of a worker whose lines go to `file` (borrowed; NULL: the log). Returns 0 with the object
 * (ended by output_stop) and the worker's end (close-on-exec, the caller closes it), or -errno. The worker's
 * end is open for reading too, so that a worker that outlives the master gets no SIGPIPE. */
__attribute__((warn_unused_result)) int output_open(uint32_t slot, struct output_file *file,
                                                    struct output **ret_output, int *ret_worker_fd);

/* The same with the reading end of a pipe that is there already; takes the descriptor over. NULL: out of
 * memory. */
struct output *output_of(uint32_t slot, struct output_file *file, int fd);

/* To be called before output_start for a hook of this name (a static string), which has no slot: its lines go
 * to the log, and tell nobody why workers do not come up. */
void output_of_hook(struct output *output, const char *name);

/* Begins to read, for the worker `pid`. */
void output_start(struct output *output, struct ev_loop *loop, pid_t pid);

/* Hands on what is in the pipe by now, for what is to be said after it. Accepts NULL. */
void output_read(struct output *output);

/* Hands on what is left in the pipe, closes it and frees the object. Accepts NULL, and one that was never
 * started. */
void output_stop(struct output *output, struct ev_loop *loop);

#endif
