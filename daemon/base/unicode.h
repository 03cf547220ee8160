/*
 * UTF-8, strictly: no overlong forms, no surrogates, nothing above U+10FFFF. What jansson refuses, a terminal
 * should not get either.
 */
#ifndef FCGIPOOL_DAEMON_BASE_UNICODE_H
#define FCGIPOOL_DAEMON_BASE_UNICODE_H

#include <stddef.h>

/* Bytes of the character at `text`, of which `left` bytes (at least 1) are there: 1 to 4; 0 when it is none.
 */
size_t unicode_length(const char *text, size_t left);

/* Makes text from anywhere safe for a terminal, a line and JSON: every byte of a control character (C0 but
 * the tab, DEL, and C1, U+0080 to U+009F), and every byte that belongs to no character, as at the end of a
 * text that was cut, becomes '?'. */
void unicode_make_printable(char *text, size_t length);

/* How many bytes of `text` (UTF-8) to show where there is room for `limit`: as many as end with a character.
 */
size_t unicode_cut(const char *text, size_t limit);

#endif
