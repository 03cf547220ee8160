/*
 * The master's log: one line an event, "2026-11-20T12:00:00.123+00:00 LEVEL text", to a file or standard
 * error. Writing never blocks: what a full pipe or terminal does not take is dropped and counted, and the
 * count is logged once there is room again. The one module with a state of its own: a line can be wanted
 * anywhere in daemon/.
 */
#ifndef FCGIPOOL_DAEMON_BASE_LOG_H
#define FCGIPOOL_DAEMON_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

/* OUTPUT: lines of the workers; never filtered. */
enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR, LOG_LEVEL_OUTPUT };

/* Lets through at most LOG_LIMIT_BURST lines in LOG_LIMIT_WINDOW_MS; the next line tells how many were held
 * back. Zero-initialized. */
struct log_limit {
    int64_t window_start_ms;
    unsigned passed;
    unsigned held;
};
#define LOG_LIMIT_BURST     10
#define LOG_LIMIT_WINDOW_MS 10000

/* Logs to `file` (appended to, mode 0640), or to standard error when it is NULL. Returns 0 or -errno. */
__attribute__((warn_unused_result)) int log_open(const char *file, enum log_level level);

/* From now on. */
void log_set_level(enum log_level level);

/* "info" -> LOG_LEVEL_INFO; an unknown word is a bug. */
enum log_level log_level_parse(const char *word);

/* One line; newlines and control characters in the text become '?'. */
__attribute__((format(printf, 2, 3))) void log_line(enum log_level level, const char *format, ...);

/* The same, rate-limited. */
__attribute__((format(printf, 3, 4))) void log_limited(struct log_limit *limit, enum log_level level,
                                                       const char *format, ...);

#define log_debug(...)   log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_error(...)   log_line(LOG_LEVEL_ERROR, __VA_ARGS__)

#endif
