/* The last lines, as a ring; see recent.h. */
#include "daemon/recent.h"

#include "daemon/base/memory.h"
#include "daemon/base/unicode.h"

#include <stdarg.h>
#include <stddef.h>
#include <string.h>

static struct {
    unsigned users, round;
    size_t count; /* of all that came */
    char lines[RECENT_LINES][RECENT_LINE_SIZE];
} ring;

void recent_start(void)
{
    if (ring.users++ > 0)
        return;
    ring.count = 0;
    ring.round++;
}

void recent_stop(void)
{
    if (ring.users > 0 && --ring.users == 0)
        ring.count = 0;
}

unsigned recent_round(void)
{
    return ring.round;
}

void recent_add(const char *format, ...)
{
    va_list args;
    if (!ring.users)
        return;
    char *line = ring.lines[ring.count++ % RECENT_LINES];
    va_start(args, format);
    vsnprintf(line, RECENT_LINE_SIZE, format, args);
    va_end(args);
    unicode_make_printable(line, strlen(line));
}

static size_t first_of(size_t lines)
{
    return ring.count > lines ? ring.count - lines : 0;
}

void recent_print(FILE *stream)
{
    for (size_t i = first_of(RECENT_LINES); i < ring.count; i++)
        fprintf(stream, "  %s\n", ring.lines[i % RECENT_LINES]);
}

char *recent_text(size_t lines)
{
    char *text = NULL;
    size_t size, first = first_of(lines < RECENT_LINES ? lines : RECENT_LINES);
    FILE *stream = memory_must(open_memstream(&text, &size));
    for (size_t i = first; i < ring.count; i++)
        fprintf(stream, "%s%s", i > first ? "; " : "", ring.lines[i % RECENT_LINES]);
    fclose(stream);
    return text;
}
