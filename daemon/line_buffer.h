/*
 * Bytes as they come -> lines. However the bytes were cut on their way, the lines are the same, and so is
 * where a line is too long.
 */
#ifndef FCGIPOOL_DAEMON_LINE_BUFFER_H
#define FCGIPOOL_DAEMON_LINE_BUFFER_H

#include <stddef.h>

enum line_buffer_event {
    LINE_BUFFER_MORE,     /* no complete line is left */
    LINE_BUFFER_LINE,     /* here is one */
    LINE_BUFFER_TOO_LONG, /* of the line that comes next more than the limit is there; nothing else follows */
};

struct line_buffer {
    char *bytes;     /* owned */
    size_t length;   /* of what is held */
    size_t begin;    /* of the line that comes next */
    size_t searched; /* no newline between begin and here */
    size_t limit;    /* longest line, without its newline */
};

void line_buffer_init(struct line_buffer *lines, size_t limit);
void line_buffer_fini(struct line_buffer *lines);

/* Adds a copy of `length` bytes. Returns 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int line_buffer_push(struct line_buffer *lines, const char *bytes,
                                                         size_t length);

/* Takes the next line: `length` bytes without its newline and without a NUL behind, good until the next push.
 */
enum line_buffer_event line_buffer_next(struct line_buffer *lines, const char **ret_line, size_t *ret_length);

#endif
