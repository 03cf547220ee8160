/* Any bytes as the inside of a JSON string; see json_text.h. */
#include "daemon/base/json_text.h"

#include "daemon/base/unicode.h"

#include <string.h>

static size_t escape_code(unsigned code, char *ret_text)
{
    static const char digits[] = "0123456789abcdef";
    ret_text[0] = '\\';
    ret_text[1] = 'u';
    for (unsigned i = 0; i < 4; i++)
        ret_text[2 + i] = digits[code >> (12 - 4 * i) & 15];
    return 6;
}

/* A short escape, or 0. */
static char short_escape(char c)
{
    switch (c) {
    case '"':
    case '\\':
        return c;
    case '\t':
        return 't';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    default:
        return 0;
    }
}

/* Of one character of `size` bytes; 0: an invalid byte. */
static size_t escape(const char *text, size_t size, char *ret_text)
{
    if (size == 0)
        return escape_code(0xfffd, ret_text);
    unsigned char first = (unsigned char)text[0], second = size > 1 ? (unsigned char)text[1] : 0;
    char letter = short_escape(text[0]);
    if (letter) {
        ret_text[0] = '\\';
        ret_text[1] = letter;
        return 2;
    }
    if (first < ' ' || first == 0x7f)
        return escape_code(first, ret_text);
    if (first == 0xc2 && second < 0xa0)
        return escape_code(second, ret_text);
    memcpy(ret_text, text, size);
    return size;
}

size_t json_text_escape(const char *text, size_t length, char *ret_text)
{
    size_t written = 0;
    for (size_t i = 0; i < length;) {
        size_t size = unicode_length(text + i, length - i);
        written += escape(text + i, size, ret_text + written);
        i += size ? size : 1;
    }
    return written;
}
