/* Any bytes as the inside of a JSON string; see json_text.h. */
#include "daemon/base/json_text.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

size_t json_text_character(const char *text, size_t length)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *bytes = (const unsigned char *)text;
    if (length == 0)
        return 0;
    if (bytes[0] < 0x80)
        return 1;
    size_t size = bytes[0] >= 0xf0 ? 4 : bytes[0] >= 0xe0 ? 3 : 2;
    if (bytes[0] < 0xc0 || bytes[0] > 0xf4 || size > length)
        return 0;
    uint32_t code = bytes[0] & (0x7fU >> size);
    for (size_t i = 1; i < size; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (bytes[i] & 0x3f);
    }
    bool surrogate = code >= 0xd800 && code <= 0xdfff;
    return code < least[size] || surrogate || code > 0x10ffff ? 0 : size;
}

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
        size_t size = json_text_character(text + i, length - i);
        written += escape(text + i, size, ret_text + written);
        i += size ? size : 1;
    }
    return written;
}
