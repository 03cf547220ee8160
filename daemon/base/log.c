/* The master's log; see log.h. */
#include "daemon/base/log.h"

#include "daemon/base/clock.h"
#include "daemon/base/json_text.h"
#include "daemon/base/sink.h"
#include "daemon/base/unicode.h"
#include "pool/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAME_BYTES 64
/* All of a line but its text. */
#define FRAME_MAX 1024

_Static_assert(FRAME_MAX + JSON_TEXT_MAX(LOG_TEXT_MAX) < SINK_LINE_MAX, "every line fits");
_Static_assert(256 + JSON_TEXT_MAX(NAME_BYTES) <= FRAME_MAX, "the name fits");

static struct {
    struct sink sink;
    enum log_level level;
    enum log_format format;
    char pool[JSON_TEXT_MAX(NAME_BYTES) + 1]; /* escaped; "": none */
    bool blocked;                             /* until the next flush: a line was not taken */
} out = {.sink = SINK_INIT, .level = LOG_LEVEL_INFO};

static const char *const level_names[] = {
    [LOG_LEVEL_DEBUG] = "debug", [LOG_LEVEL_INFO] = "info",     [LOG_LEVEL_WARNING] = "warning",
    [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_OUTPUT] = "output",
};

int log_open(const char *file)
{
    return sink_open(&out.sink, file);
}

int log_reopen(void)
{
    return sink_reopen(&out.sink);
}

void log_configure(const char *pool, enum log_level level, enum log_format format)
{
    size_t length = pool ? strnlen(pool, NAME_BYTES) : 0;
    out.pool[json_text_escape(pool, length, out.pool)] = '\0';
    out.level = level;
    out.format = format;
}

enum log_level log_level_parse(const char *word)
{
    int level = LOG_LEVEL_ERROR;
    while (level > LOG_LEVEL_DEBUG && strcmp(word, level_names[level]) != 0)
        level--;
    return (enum log_level)level;
}

enum log_format log_format_parse(const char *word)
{
    return strcmp(word, "json") == 0 ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT;
}

/* ---- one line ---- */

/* What is known of a line beside its text. */
struct frame {
    enum log_level level;
    uint32_t slot; /* of LOG_LEVEL_OUTPUT, as are the next two */
    pid_t pid;
    const char *hook; /* NULL: of a worker */
};

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

void log_time(char ret_text[static LOG_TIME_SIZE])
{
    struct timespec now;
    char text[32], zone[8];
    clock_gettime(CLOCK_REALTIME, &now);
    format_second(now.tv_sec, text, zone);
    snprintf(ret_text, LOG_TIME_SIZE, "%s.%03d%s", text, (int)(now.tv_nsec / 1000000), zone);
}

/* Each of the next two writes a line without its newline, and returns its length. */
static size_t format_text(const struct frame *frame, const char *text, size_t length, char *ret_line)
{
    char now[LOG_TIME_SIZE];
    log_time(now);
    int start = snprintf(ret_line, FRAME_MAX, "%s %s ", now, level_names[frame->level]);
    if (frame->hook)
        start += snprintf(ret_line + start, FRAME_MAX - (size_t)start, "hook %s pid %ld: ", frame->hook,
                          (long)frame->pid);
    else if (frame->level == LOG_LEVEL_OUTPUT)
        start += snprintf(ret_line + start, FRAME_MAX - (size_t)start, "worker %u pid %ld: ", frame->slot,
                          (long)frame->pid);
    memcpy(ret_line + start, text, length);
    unicode_make_printable(ret_line + start, length);
    return (size_t)start + length;
}

static size_t format_json(const struct frame *frame, const char *text, size_t length, char *ret_line)
{
    char now[LOG_TIME_SIZE], source[64] = "";
    bool named = out.pool[0] != '\0';
    log_time(now);
    if (frame->hook)
        snprintf(source, sizeof source, ",\"hook\":\"%s\",\"pid\":%ld", frame->hook, (long)frame->pid);
    else if (frame->level == LOG_LEVEL_OUTPUT)
        snprintf(source, sizeof source, ",\"worker\":%u,\"pid\":%ld", frame->slot, (long)frame->pid);
    size_t size = (size_t)snprintf(
        ret_line, FRAME_MAX, "{\"time\":\"%s\",\"level\":\"%s\"%s%s%s%s,\"message\":\"", now,
        level_names[frame->level], named ? ",\"pool\":\"" : "", out.pool, named ? "\"" : "", source);
    size += json_text_escape(text, length, ret_line + size);
    ret_line[size++] = '"';
    ret_line[size++] = '}';
    return size;
}

static void put(const struct frame *frame, const char *text, size_t length)
{
    char line[SINK_LINE_MAX];
    if (length > LOG_TEXT_MAX)
        length = LOG_TEXT_MAX;
    size_t size = out.format == LOG_FORMAT_JSON ? format_json(frame, text, length, line)
                                                : format_text(frame, text, length, line);
    sink_put(&out.sink, line, size);
}

/* Says how many lines were dropped. False: the log does not take that either. */
static bool tell_of_dropped(void)
{
    char text[128];
    struct frame frame = {.level = LOG_LEVEL_WARNING};
    unsigned long dropped = out.sink.dropped;
    if (!dropped)
        return true;
    out.sink.dropped = 0;
    put(&frame, text,
        (size_t)snprintf(text, sizeof text, "%lu log lines were dropped: the log did not take them",
                         dropped));
    sink_flush(&out.sink);
    if (!out.sink.dropped)
        return true;
    out.sink.dropped += dropped - 1; /* this very line is not worth mentioning */
    return false;
}

__attribute__((format(printf, 2, 0))) static void put_va(enum log_level level, const char *format,
                                                         va_list args)
{
    char text[LOG_TEXT_MAX + 1];
    struct frame frame = {.level = level};
    if (!tell_of_dropped()) {
        out.sink.dropped++;
        return;
    }
    int length = vsnprintf(text, sizeof text, format, args);
    put(&frame, text, length > 0 ? (size_t)length : 0);
    log_flush();
}

/* ---- lines ---- */

void log_line(enum log_level level, const char *format, ...)
{
    va_list args;
    if (level < out.level)
        return;
    va_start(args, format);
    put_va(level, format, args);
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
    put_va(level, format, args);
    va_end(args);
}

/* A log that took no line takes none until the flush: not one more write a line. */
static void put_output(const struct frame *frame, const char *text, size_t length)
{
    out.blocked = out.blocked || !tell_of_dropped();
    if (out.blocked)
        out.sink.dropped++;
    else
        put(frame, text, length);
}

void log_output(uint32_t slot, pid_t pid, const char *text, size_t length)
{
    struct frame frame = {.level = LOG_LEVEL_OUTPUT, .slot = slot, .pid = pid};
    put_output(&frame, text, length);
}

void log_hook_output(const char *hook, pid_t pid, const char *text, size_t length)
{
    struct frame frame = {.level = LOG_LEVEL_OUTPUT, .pid = pid, .hook = hook};
    put_output(&frame, text, length);
}

void log_flush(void)
{
    sink_flush(&out.sink);
    out.blocked = false;
}

void log_close(void)
{
    log_flush();
    (void)tell_of_dropped();
    sink_close(&out.sink);
    out.sink = (struct sink)SINK_INIT;
}

void assert_failed(const char *expression, const char *file, int line)
{
    log_error("bug: %s:%d: assertion failed: %s", file, line, expression);
    abort();
}
