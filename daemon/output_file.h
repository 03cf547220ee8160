/*
 * A file that a pool writes lines to beside its log: worker_output_file, slowlog.file. What it does not take
 * is told in the log.
 */
#ifndef FCGIPOOL_DAEMON_OUTPUT_FILE_H
#define FCGIPOOL_DAEMON_OUTPUT_FILE_H

#include <stddef.h>

struct output_file;

/* Nothing is open yet. `setting` names the file in the log, `lines` what it takes: "lines of the workers";
 * static strings. Out of memory ends the process. */
struct output_file *output_file_new(const char *setting, const char *lines);

/* Goes to `path` from now on; see sink_open. Returns 0, or -errno, and the former file stays. */
__attribute__((warn_unused_result)) int output_file_open(struct output_file *file, const char *path);

/* Opens the same path anew. Returns 0, or -errno, and the old file goes on being used. */
__attribute__((warn_unused_result)) int output_file_reopen(struct output_file *file);

/* The path, borrowed until the next opening. */
const char *output_file_path(const struct output_file *file);

/* Adds one line of at most SINK_LINE_MAX - 1 bytes, given without its newline. It may wait until the flush.
 */
void output_file_line(struct output_file *file, const char *text, size_t length);
void output_file_flush(struct output_file *file);

/* Writes what waits, closes and frees. Accepts NULL. */
void output_file_free(struct output_file *file);

#endif
