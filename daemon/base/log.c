/* The master's log; see log.h. */
#include "daemon/base/log.h"

#include "daemon/base/clock.h"
#include "pool/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Longer lines are cut. */
#define LINE_MAX_BYTES 16384

static struct {
    int fd;
    enum log_level level;
    unsigned long dropped;
} out = {.fd = STDERR_FILENO, .level = LOG_LEVEL_INFO};

static const char *const level_names[] = {
    [LOG_LEVEL_DEBUG] = "debug", [LOG_LEVEL_INFO] = "info",     [LOG_LEVEL_WARNING] = "warning",
    [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_OUTPUT] = "output",
};

/* Standard error as a description of our own, so that O_NONBLOCK does not reach whoever shares the old one.
 * A socket cannot be opened again: there the shared description has to do, as it is. */
static int open_stderr(void)
{
    struct stat st;
    if (fstat(STDERR_FILENO, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode))) {
        int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd >= 0)
            return fd;
    }
    return fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
}

int log_open(const char *file, enum log_level level)
{
    int fd = file ? open(file, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | O_CLOEXEC,
                         0640)
                  : open_stderr();
    if (fd < 0)
        return -errno;
    if (out.fd > STDERR_FILENO)
        close(out.fd);
    out.fd = fd;
    out.level = level;
    return 0;
}

enum log_level log_level_parse(const char *word)
{
    int level = LOG_LEVEL_ERROR;
    while (level > LOG_LEVEL_DEBUG && strcmp(word, level_names[level]) != 0)
        level--;
    return (enum log_level)level;
}

static size_t format_time(char *ret_text, size_t size)
{
    struct timespec now;
    struct tm local;
    char zone[8];
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &local);
    size_t length = strftime(ret_text, size, "%Y-%m-%dT%H:%M:%S", &local);
    strftime(zone, sizeof zone, "%z", &local); /* +hhmm */
    return length + (size_t)snprintf(ret_text + length, size - length, ".%03d%.3s:%.2s",
                                     (int)(now.tv_nsec / 1000000), zone, zone + 3);
}

static void write_line(const char *line, size_t length)
{
    ssize_t written = write(out.fd, line, length);
    if (written < (ssize_t)length)
        out.dropped++;
}

__attribute__((format(printf, 2, 0))) static void log_va(enum log_level level, const char *format,
                                                         va_list args)
{
    char line[LINE_MAX_BYTES];
    size_t start = format_time(line, 64);
    start += (size_t)snprintf(line + start, 64, " %s ", level_names[level]);
    size_t length = start + (size_t)vsnprintf(line + start, sizeof line - start, format, args);
    if (length > sizeof line - 2)
        length = sizeof line - 2;
    for (size_t i = start; i < length; i++)
        if ((unsigned char)line[i] < ' ' && line[i] != '\t')
            line[i] = '?';
    line[length++] = '\n';
    write_line(line, length);
}

void log_line(enum log_level level, const char *format, ...)
{
    va_list args;
    if (level < out.level)
        return;
    if (out.dropped) {
        unsigned long dropped = out.dropped;
        out.dropped = 0;
        log_warning("%lu log lines were dropped: the log did not take them", dropped);
        if (out.dropped) {
            out.dropped += dropped;
            return;
        }
    }
    va_start(args, format);
    log_va(level, format, args);
    va_end(args);
}

void log_limited(struct log_limit *limit, enum log_level level, const char *format, ...)
{
    va_list args;
    int64_t now_ms = clock_now_ms();
    if (level < out.level)
        return;
    if (now_ms - limit->window_start_ms >= LOG_LIMIT_WINDOW_MS) {
        if (limit->held)
            log_line(level, "%u lines like the next one were held back", limit->held);
        *limit = (struct log_limit){.window_start_ms = now_ms};
    }
    if (limit->passed == LOG_LIMIT_BURST) {
        limit->held++;
        return;
    }
    limit->passed++;
    va_start(args, format);
    log_va(level, format, args);
    va_end(args);
}

void assert_failed(const char *expression, const char *file, int line)
{
    log_error("bug: %s:%d: assertion failed: %s", file, line, expression);
    abort();
}
