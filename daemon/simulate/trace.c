/* A trace of requests; see trace.h. */
#include "daemon/simulate/trace.h"

#include "daemon/base/memory.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MS 1000 /* in microseconds */

/* A line that is longer is none of two numbers. */
#define LINE_SIZE 128

void trace_add(struct trace *trace, int64_t at_us, int64_t service_us)
{
    if (trace->count == trace->room) {
        trace->room = 2 * trace->room + 1024;
        trace->items = memory_must(reallocarray(trace->items, trace->room, sizeof *trace->items));
    }
    trace->items[trace->count++] = (struct trace_request){.at_us = at_us, .service_us = service_us};
}

void trace_fini(struct trace *trace)
{
    free(trace->items);
    *trace = (struct trace){0};
}

/* ---- order ---- */

/* By merging runs of growing length: stable, which qsort is not. */
static void merge(const struct trace_request *from, struct trace_request *to, size_t begin, size_t middle,
                  size_t end)
{
    size_t left = begin, right = middle;
    for (size_t i = begin; i < end; i++) {
        bool first = left < middle && (right == end || from[left].at_us <= from[right].at_us);
        to[i] = first ? from[left++] : from[right++];
    }
}

void trace_sort(struct trace *trace)
{
    size_t count = trace->count;
    struct trace_request *other = memory_must(reallocarray(NULL, count + 1, sizeof *other));
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t i = 0; i < count; i += 2 * width) {
            size_t middle = i + width < count ? i + width : count;
            size_t end = i + 2 * width < count ? i + 2 * width : count;
            merge(trace->items, other, i, middle, end);
        }
        struct trace_request *sorted = other;
        other = trace->items;
        trace->items = sorted;
        trace->room = count;
    }
    free(other);
}

/* ---- a file ---- */

struct reader {
    const char *file;
    unsigned line;
    struct trace *trace;
    struct problems *problems;
};

static void fault(const struct reader *reader, size_t column, const char *text)
{
    struct problem problem;
    (void)problem_set(&problem, 0, "%s", text);
    snprintf(problem.file, sizeof problem.file, "%s", reader->file);
    problem.line = reader->line;
    problem.column = (unsigned)column + 1;
    problems_add(reader->problems, &problem);
}

/* "12.5" -> 12500. Moves `*text` behind it. */
static bool parse_ms(const char **text, int64_t max_ms, int64_t *ret_us)
{
    const char *at = *text;
    int64_t us = 0;
    if (!isdigit((unsigned char)*at))
        return false;
    for (; isdigit((unsigned char)*at); at++) {
        us = 10 * us + (int64_t)MS * (*at - '0');
        if (us > max_ms * MS)
            return false;
    }
    if (*at == '.') {
        at++;
        for (int64_t part = MS / 10; isdigit((unsigned char)*at); at++, part /= 10)
            us += part * (*at - '0');
    }
    *text = at;
    *ret_us = us;
    return us <= max_ms * MS;
}

static void read_request(struct reader *reader, const char *line)
{
    const struct trace *trace = reader->trace;
    int64_t at_us, service_us, before_us = trace->count ? trace->items[trace->count - 1].at_us : 0;
    const char *at = line;
    if (!parse_ms(&at, TRACE_AT_MAX_MS, &at_us))
        fault(reader, 0, "at_ms is to be a number of milliseconds, at most 30 days");
    else if (*at != ',')
        fault(reader, (size_t)(at - line), "a line is to be at_ms,service_ms");
    else if (at++, !parse_ms(&at, TRACE_SERVICE_MAX_MS, &service_us))
        fault(reader, (size_t)(at - line), "service_ms is to be a number of milliseconds, at most a day");
    else if (*at)
        fault(reader, (size_t)(at - line), "nothing is to follow service_ms");
    else if (at_us < before_us)
        fault(reader, 0, "at_ms is earlier than in a line before");
    else
        trace_add(reader->trace, at_us, service_us);
}

static void read_lines(struct reader *reader, FILE *stream)
{
    char line[LINE_SIZE];
    while (fgets(line, sizeof line, stream)) {
        size_t length = strlen(line);
        reader->line++;
        if (length == sizeof line - 1 && line[length - 1] != '\n') {
            fault(reader, length, "the line is too long");
            return;
        }
        line[strcspn(line, "\r\n")] = '\0';
        if (reader->line > 1)
            read_request(reader, line);
        else if (strcmp(line, TRACE_HEADER) != 0) {
            fault(reader, 0, "the first line is to be " TRACE_HEADER);
            return;
        }
    }
}

int trace_read(const char *file, struct trace *trace, struct problems *problems)
{
    size_t errors = problems->errors;
    struct reader reader = {.file = file, .trace = trace, .problems = problems};
    FILE *stream = fopen(file, "re");
    int error = stream ? 0 : errno;
    *trace = (struct trace){0};
    if (stream) {
        read_lines(&reader, stream);
        error = ferror(stream) ? errno : 0;
        (void)fclose(stream);
    }
    reader.line = 0;
    if (error)
        fault(&reader, 0, strerror(error));
    else if (problems->errors == errors && trace->count == 0)
        fault(&reader, 0, "there is no request in it");
    if (problems->errors == errors) {
        trace->end_us = trace->items[trace->count - 1].at_us;
        return 0;
    }
    trace_fini(trace);
    return error ? -error : -EINVAL;
}
