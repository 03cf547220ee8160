/* The last lines, as a ring; see recent.h. */
#include "daemon/recent.h"

#include "daemon/base/unicode.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static struct {
    bool on;
    size_t count; /* of all that came */
    char lines[RECENT_LINES][RECENT_LINE_SIZE];
} ring;

void recent_start(void)
{
    ring.on = true;
    ring.count = 0;
}

void recent_stop(void)
{
    ring.on = false;
    ring.count = 0;
}

void recent_add(const char *format, ...)
{
    va_list args;
    if (!ring.on)
        return;
    char *line = ring.lines[ring.count++ % RECENT_LINES];
    va_start(args, format);
    vsnprintf(line, RECENT_LINE_SIZE, format, args);
    va_end(args);
    unicode_make_printable(line, strlen(line));
}

void recent_print(FILE *stream)
{
    size_t first = ring.count > RECENT_LINES ? ring.count - RECENT_LINES : 0;
    for (size_t i = first; i < ring.count; i++)
        fprintf(stream, "  %s\n", ring.lines[i % RECENT_LINES]);
}
