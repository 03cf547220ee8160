/*
 * The master's log: one line an event, to a file or standard error (see sink.h for what happens when that
 * takes no more). As text, "2026-11-20T12:00:00.123+00:00 LEVEL text", or as one JSON object a line,
 * {"time":...,"level":...,"pool":...,"message":...}; a worker's line also has "worker" (its slot) and "pid",
 * a hook's "hook" and "pid". A module with a state of its own: a line can be wanted anywhere in daemon/.
 */
#ifndef FCGIPOOL_DAEMON_BASE_LOG_H
#define FCGIPOOL_DAEMON_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* OUTPUT: lines of the workers and hooks; never filtered. */
enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR, LOG_LEVEL_OUTPUT };

enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* Longest text of a line, in bytes; a longer one is cut. */
#define LOG_TEXT_MAX 8192

/* Lets through at most LOG_LIMIT_BURST lines in LOG_LIMIT_WINDOW_MS; the next line tells how many were held
 * back. Zero-initialized. */
struct log_limit {
    int64_t window_start_ms;
    unsigned passed;
    unsigned held;
};
#define LOG_LIMIT_BURST     10
#define LOG_LIMIT_WINDOW_MS 10000

/* Logs to `file`, or to standard error when it is NULL; see sink_open. Returns 0, or -errno, and the log goes
 * where it went before. */
__attribute__((warn_unused_result)) int log_open(const char *file);

/* Opens the file anew. Returns 0, or -errno, and the old one goes on being used. */
__attribute__((warn_unused_result)) int log_reopen(void);

/* Writes what waits, says how many lines were dropped, and closes: to standard error from now on. */
void log_close(void);

/* From now on. `pool` is the name in JSON lines (copied; NULL: none), at most 64 bytes. At first: everything
 * from INFO up, as text. */
void log_configure(const char *pool, enum log_level level, enum log_format format);

/* "info" -> LOG_LEVEL_INFO, "json" -> LOG_FORMAT_JSON; an unknown word is a bug. */
enum log_level log_level_parse(const char *word);
enum log_format log_format_parse(const char *word);

/* The present time as in the log's text lines, with its NUL. */
#define LOG_TIME_SIZE 64
void log_time(char ret_text[static LOG_TIME_SIZE]);

/* One line. What is not printable becomes '?' in text (unicode_make_printable), escapes in JSON. */
__attribute__((format(printf, 2, 3))) void log_line(enum log_level level, const char *format, ...);

/* The same, rate-limited. */
__attribute__((format(printf, 3, 4))) void log_limited(struct log_limit *limit, enum log_level level,
                                                       const char *format, ...);

/* One line that the worker in `slot` wrote: any bytes, without the newline. It may wait until the next
 * log_flush or log_line. */
void log_output(uint32_t slot, pid_t pid, const char *text, size_t length);

/* Likewise of a hook, whose name is a word of ours. */
void log_hook_output(const char *hook, pid_t pid, const char *text, size_t length);
void log_flush(void);

#define log_debug(...)   log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_error(...)   log_line(LOG_LEVEL_ERROR, __VA_ARGS__)

#endif
