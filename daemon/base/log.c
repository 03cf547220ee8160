/* The master's log; see log.h. */
#include "daemon/base/log.h"

#include "daemon/base/clock.h"
#include "pool/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Longer lines are cut. */
#define LINE_MAX_BYTES 16384

/* How to write without waiting. */
enum way {
    WAY_WRITE, /* a file, or a description of our own with O_NONBLOCK */
    WAY_SEND,  /* a socket, as systemd gives */
    WAY_POLL,  /* somebody else's blocking description, which takes up to PIPE_BUF when it is ready */
};

static struct {
    int fd;
    enum way way;
    enum log_level level;
    unsigned long dropped;
    bool torn; /* the last line was written in part */
} out = {.fd = STDERR_FILENO, .way = WAY_POLL, .level = LOG_LEVEL_INFO};

static const char *const level_names[] = {
    [LOG_LEVEL_DEBUG] = "debug", [LOG_LEVEL_INFO] = "info",     [LOG_LEVEL_WARNING] = "warning",
    [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_OUTPUT] = "output",
};

/* Standard error: where that is possible as a description of our own, so that O_NONBLOCK does not reach
 * whoever shares the old one. */
static int open_stderr(enum way *ret_way)
{
    struct stat st = {.st_mode = 0};
    int fd = -1;
    (void)fstat(STDERR_FILENO, &st);
    if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode))
        fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    *ret_way = fd >= 0 || S_ISREG(st.st_mode) ? WAY_WRITE : S_ISSOCK(st.st_mode) ? WAY_SEND : WAY_POLL;
    return fd >= 0 ? fd : fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
}

int log_open(const char *file, enum log_level level)
{
    enum way way = WAY_WRITE;
    int fd = file ? open(file, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | O_CLOEXEC,
                         0640)
                  : open_stderr(&way);
    if (fd < 0)
        return -errno;
    if (out.fd > STDERR_FILENO)
        close(out.fd);
    out.fd = fd;
    out.way = way;
    out.level = level;
    return 0;
}

void log_set_level(enum log_level level)
{
    out.level = level;
}

enum log_level log_level_parse(const char *word)
{
    int level = LOG_LEVEL_ERROR;
    while (level > LOG_LEVEL_DEBUG && strcmp(word, level_names[level]) != 0)
        level--;
    return (enum log_level)level;
}

/* "2026-11-20T12:00:00", and "+00:00": the same for a whole second. */
static void format_second(time_t second, char ret_text[32], char ret_zone[8])
{
    static struct {
        time_t second;
        char text[32], zone[8];
    } last = {.second = -1};
    if (second != last.second) {
        struct tm local;
        char zone[8];
        localtime_r(&second, &local);
        strftime(last.text, sizeof last.text, "%Y-%m-%dT%H:%M:%S", &local);
        strftime(zone, sizeof zone, "%z", &local); /* +hhmm */
        snprintf(last.zone, sizeof last.zone, "%.3s:%.2s", zone, zone + 3);
        last.second = second;
    }
    memcpy(ret_text, last.text, sizeof last.text);
    memcpy(ret_zone, last.zone, sizeof last.zone);
}

static size_t format_time(char *ret_text, size_t size)
{
    struct timespec now;
    char text[32], zone[8];
    clock_gettime(CLOCK_REALTIME, &now);
    format_second(now.tv_sec, text, zone);
    return (size_t)snprintf(ret_text, size, "%s.%03d%s", text, (int)(now.tv_nsec / 1000000), zone);
}

static ssize_t write_some(const char *text, size_t length)
{
    struct pollfd ready = {.fd = out.fd, .events = POLLOUT};
    if (out.way == WAY_SEND)
        return send(out.fd, text, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (out.way == WAY_WRITE)
        return write(out.fd, text, length);
    return poll(&ready, 1, 0) == 1 ? write(out.fd, text, length < PIPE_BUF ? length : PIPE_BUF) : -1;
}

static void write_line(const char *line, size_t length)
{
    if (out.torn && write_some("\n", 1) == 1)
        out.torn = false;
    ssize_t written = out.torn ? -1 : write_some(line, length);
    if (written < (ssize_t)length) {
        out.dropped++;
        out.torn = out.torn || written > 0;
    }
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
        if (((unsigned char)line[i] < ' ' && line[i] != '\t') || line[i] == 0x7f)
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
