/*
 * Any bytes as the inside of a JSON string: what a worker writes need not be UTF-8, and must not end the line
 * or reach a terminal's controls. (jansson refuses what is not UTF-8.)
 */
#ifndef FCGIPOOL_DAEMON_BASE_JSON_TEXT_H
#define FCGIPOOL_DAEMON_BASE_JSON_TEXT_H

#include <stddef.h>

/* What `length` bytes can become at the most. */
#define JSON_TEXT_MAX(length) (6 * (length))

/* Writes `text` without quotation marks around it to `ret_text`, which holds JSON_TEXT_MAX(length) bytes, and
 * returns how many it wrote; no NUL. Quotation marks, backslashes and control characters (DEL and U+0080 to
 * U+009F too) are escaped; each byte that is no part of valid UTF-8 becomes U+FFFD. */
size_t json_text_escape(const char *text, size_t length, char *ret_text);

#endif
