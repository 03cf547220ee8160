/* The slow log; see slowlog.h. */
#include "daemon/slowlog.h"

#include "daemon/base/json_text.h"
#include "daemon/base/memory.h"
#include "daemon/base/sink.h"
#include "daemon/base/unicode.h"
#include "daemon/output_file.h"
#include "daemon/stack.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

/* What is longer is cut; the page has less. */
#define METHOD_MAX 32
#define URI_MAX    1024
#define POOL_MAX   64
/* Longest line of a stack: C++ has long names. */
#define FRAME_MAX 1024
/* Room for all of a line but its stack. */
#define HEAD_MAX (512 + JSON_TEXT_MAX(POOL_MAX + METHOD_MAX + URI_MAX))
#define INDENT   "    "

_Static_assert(HEAD_MAX < SINK_LINE_MAX / 2, "there is room for the stack");

/* A line, and what it is made of: a copy, for it may wait for its stack. */
struct entry {
    char time[LOG_TIME_SIZE];
    uint32_t slot;
    pid_t pid;
    char method[METHOD_MAX + 1];
    char uri[URI_MAX + 1];
    int64_t age_ms;
};

struct slowlog {
    char pool[POOL_MAX + 1];
    enum log_format format;
    struct output_file *file; /* owned; NULL: the log */
    bool wants_stack;
    struct stack stack;
    bool waiting; /* `entry` waits for its stack */
    struct entry entry;
    bool told_forbidden;
    struct log_limit limit_failures;
};

/* ---- one line ---- */

struct line {
    char text[SINK_LINE_MAX];
    size_t length;
};

__attribute__((format(printf, 2, 3))) static void add(struct line *line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(line->text + line->length, sizeof line->text - line->length, format, args);
    va_end(args);
    line->length += length > 0 ? (size_t)length : 0;
}

/* Percent signs and digits for what would end the line, its columns or a terminal's peace. */
static void add_escaped(struct line *line, const char *text)
{
    if (*text == '\0')
        add(line, "-");
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        add(line, byte > ' ' && byte < 0x7f ? "%c" : "%%%02X", byte);
    }
}

static void add_json(struct line *line, const char *text, size_t length)
{
    add(line, "\"");
    line->length += json_text_escape(text, length, line->text + line->length);
    add(line, "\"");
}

static void add_member(struct line *line, const char *name, const char *text)
{
    add(line, ",\"%s\":", name);
    add_json(line, text, strlen(text));
}

static void format_text(const struct slowlog *slowlog, const struct entry *entry, struct line *line)
{
    add(line, "%s %s worker %u pid %ld: ", entry->time, slowlog->pool, entry->slot, (long)entry->pid);
    add_escaped(line, entry->method);
    add(line, " ");
    add_escaped(line, entry->uri);
    add(line, " %lld ms", (long long)entry->age_ms);
}

static void format_json(const struct slowlog *slowlog, const struct entry *entry, struct line *line)
{
    add(line, "{\"time\":\"%s\"", entry->time);
    add_member(line, "pool", slowlog->pool);
    add(line, ",\"worker\":%u,\"pid\":%ld", entry->slot, (long)entry->pid);
    add_member(line, "method", entry->method);
    add_member(line, "uri", entry->uri);
    add(line, ",\"age_ms\":%lld", (long long)entry->age_ms);
}

/* ---- with its stack ---- */

/* The next line of a stack: at most FRAME_MAX bytes of it. False: none is left. */
static bool next_frame(const char **text, size_t *length, const char **ret_frame, size_t *ret_length)
{
    if (*length == 0)
        return false;
    const char *newline = memchr(*text, '\n', *length);
    size_t size = newline != NULL ? (size_t)(newline - *text) : *length;
    *ret_frame = *text;
    *ret_length = size < FRAME_MAX ? size : FRAME_MAX;
    *text += size + (newline != NULL);
    *length -= size + (newline != NULL);
    return true;
}

static void write_text(struct slowlog *slowlog, const struct entry *entry, const char *stack, size_t length)
{
    struct line line = {.length = 0};
    const char *frame;
    size_t size;
    format_text(slowlog, entry, &line);
    output_file_line(slowlog->file, line.text, line.length);
    while (next_frame(&stack, &length, &frame, &size)) {
        line.length = 0;
        add(&line, INDENT);
        memcpy(line.text + line.length, frame, size);
        unicode_make_printable(line.text + line.length, size);
        output_file_line(slowlog->file, line.text, line.length + size);
    }
}

/* A long stack loses its end, for the object must be one line. */
static void write_json(struct slowlog *slowlog, const struct entry *entry, const char *stack, size_t length)
{
    struct line line = {.length = 0};
    const char *frame, *comma = "";
    size_t size;
    format_json(slowlog, entry, &line);
    if (length > 0) {
        add(&line, ",\"stack\":[");
        while (next_frame(&stack, &length, &frame, &size) &&
               line.length + JSON_TEXT_MAX(size) + 16 < sizeof line.text) {
            add(&line, "%s", comma);
            add_json(&line, frame, size);
            comma = ",";
        }
        add(&line, "]");
    }
    add(&line, "}");
    output_file_line(slowlog->file, line.text, line.length);
}

static void write_log(const struct entry *entry, const char *stack, size_t length)
{
    struct line line = {.length = 0};
    const char *frame;
    size_t size;
    add_escaped(&line, entry->method);
    add(&line, " ");
    add_escaped(&line, entry->uri);
    log_warning("slow request in worker %u pid %ld: %s, %lld ms", entry->slot, (long)entry->pid, line.text,
                (long long)entry->age_ms);
    while (next_frame(&stack, &length, &frame, &size))
        log_warning(INDENT "%.*s", (int)size, frame);
}

static void write_entry(struct slowlog *slowlog, const struct entry *entry, const char *stack, size_t length)
{
    if (slowlog->file == NULL) {
        write_log(entry, stack, length);
        return;
    }
    if (slowlog->format == LOG_FORMAT_JSON)
        write_json(slowlog, entry, stack, length);
    else
        write_text(slowlog, entry, stack, length);
    output_file_flush(slowlog->file);
}

/* ---- stacks ---- */

static void on_stack(enum stack_result result, const char *text, size_t length, void *context)
{
    struct slowlog *slowlog = context;
    if (result == STACK_LATE)
        log_limited(&slowlog->limit_failures, LOG_LEVEL_WARNING,
                    "slowlog.stack: eu-stack took more than %d s for pid %ld and was ended",
                    STACK_LIMIT_MS / 1000, (long)slowlog->entry.pid);
    if (result == STACK_FORBIDDEN && !slowlog->told_forbidden)
        log_warning("slowlog.stack: the kernel does not let eu-stack look into pid %ld (%s); slow requests "
                    "are logged without a stack. It takes the worker's user and, where the system restricts "
                    "ptrace, kernel.yama.ptrace_scope 0 or CAP_SYS_PTRACE",
                    (long)slowlog->entry.pid, strerror(EPERM));
    slowlog->told_forbidden = slowlog->told_forbidden || result == STACK_FORBIDDEN;
    slowlog->waiting = false;
    write_entry(slowlog, &slowlog->entry, text, result == STACK_FORBIDDEN ? 0 : length);
}

/* Whether a stack is on its way. */
static bool take_stack(struct slowlog *slowlog, pid_t pid)
{
    if (!slowlog->wants_stack || !stack_can(&slowlog->stack))
        return false;
    int result = stack_take(&slowlog->stack, pid);
    if (result != 0 && result != -EBUSY && result != -ESRCH)
        log_limited(&slowlog->limit_failures, LOG_LEVEL_WARNING,
                    "slowlog.stack: eu-stack was not started: %s", strerror(-result));
    return result == 0;
}

/* ---- the object ---- */

struct slowlog *slowlog_new(struct ev_loop *loop, const char *pool, const struct credentials *credentials)
{
    struct slowlog *slowlog = memory_must(calloc(1, sizeof *slowlog));
    (void)snprintf(slowlog->pool, sizeof slowlog->pool, "%s", pool);
    stack_init(&slowlog->stack, loop, credentials, on_stack, slowlog);
    return slowlog;
}

void slowlog_configure(struct slowlog *slowlog, enum log_format format, bool stack)
{
    if (stack && !slowlog->wants_stack && !stack_can(&slowlog->stack))
        log_warning("slowlog.stack: there is no eu-stack (of elfutils) in PATH; slow requests are logged "
                    "without a stack");
    slowlog->format = format;
    slowlog->wants_stack = stack;
}

int slowlog_open(struct slowlog *slowlog, const char *path)
{
    struct output_file *file = path != NULL ? output_file_new("slowlog.file", "slow requests") : NULL;
    int result = path != NULL ? output_file_open(file, path) : 0;
    if (result != 0) {
        output_file_free(file);
        return result;
    }
    output_file_free(slowlog->file);
    slowlog->file = file;
    return 0;
}

int slowlog_reopen(struct slowlog *slowlog)
{
    return slowlog->file != NULL ? output_file_reopen(slowlog->file) : 0;
}

const char *slowlog_path(const struct slowlog *slowlog)
{
    return slowlog->file != NULL ? output_file_path(slowlog->file) : NULL;
}

void slowlog_report(struct slowlog *slowlog, const struct slow_request *request)
{
    struct entry entry = {.slot = request->slot, .pid = request->pid, .age_ms = request->age_ms};
    log_time(entry.time);
    (void)snprintf(entry.method, sizeof entry.method, "%s", request->method);
    (void)snprintf(entry.uri, sizeof entry.uri, "%s", request->uri);
    if (request->no_stack || !take_stack(slowlog, request->pid)) {
        write_entry(slowlog, &entry, NULL, 0);
        return;
    }
    slowlog->entry = entry;
    slowlog->waiting = true;
}

void slowlog_free(struct slowlog *slowlog)
{
    if (slowlog == NULL)
        return;
    stack_fini(&slowlog->stack);
    if (slowlog->waiting)
        write_entry(slowlog, &slowlog->entry, NULL, 0);
    output_file_free(slowlog->file);
    free(slowlog);
}
