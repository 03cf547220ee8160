/* Lines out of pieces; see line_buffer.h. */
#include "daemon/line_buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void line_buffer_init(struct line_buffer *lines, size_t limit)
{
    *lines = (struct line_buffer){.limit = limit};
}

void line_buffer_fini(struct line_buffer *lines)
{
    free(lines->bytes);
    lines->bytes = NULL;
}

/* Lines that were taken make room. */
static void compact(struct line_buffer *lines)
{
    if (lines->begin == 0)
        return;
    lines->length -= lines->begin;
    lines->searched -= lines->begin;
    memmove(lines->bytes, lines->bytes + lines->begin, lines->length);
    lines->begin = 0;
}

int line_buffer_push(struct line_buffer *lines, const char *bytes, size_t length)
{
    if (length == 0)
        return 0;
    compact(lines);
    char *grown = realloc(lines->bytes, lines->length + length);
    if (!grown)
        return -ENOMEM;
    memcpy(grown + lines->length, bytes, length);
    lines->bytes = grown;
    lines->length += length;
    return 0;
}

enum line_buffer_event line_buffer_next(struct line_buffer *lines, const char **ret_line, size_t *ret_length)
{
    size_t left = lines->length - lines->searched;
    const char *newline = left ? memchr(lines->bytes + lines->searched, '\n', left) : NULL;
    size_t end = newline ? (size_t)(newline - lines->bytes) : lines->length;

    if (end - lines->begin > lines->limit)
        return LINE_BUFFER_TOO_LONG;
    lines->searched = end;
    if (!newline)
        return LINE_BUFFER_MORE;
    *ret_line = lines->bytes + lines->begin;
    *ret_length = end - lines->begin;
    lines->begin = lines->searched = end + 1;
    return LINE_BUFFER_LINE;
}
