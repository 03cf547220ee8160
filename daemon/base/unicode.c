/* UTF-8; see unicode.h. */
#include "daemon/base/unicode.h"

#include <stdbool.h>
#include <string.h>

size_t unicode_length(const char *text, size_t left)
{
    static const unsigned lowest[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *s = (const unsigned char *)text;
    size_t length = s[0] < 0x80   ? 1
                    : s[0] < 0xc0 ? 0
                    : s[0] < 0xe0 ? 2
                    : s[0] < 0xf0 ? 3
                    : s[0] < 0xf8 ? 4
                                  : 0;
    if (length == 0 || length > left)
        return 0;
    if (length == 1)
        return 1;

    unsigned code = s[0] & (0x7fU >> length);
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (s[i] & 0x3f);
    }
    bool surrogate = code >= 0xd800 && code <= 0xdfff;
    return code < lowest[length] || code > 0x10ffff || surrogate ? 0 : length;
}

/* Of the character of `length` bytes at `text`; 0: it is none. */
static bool is_printable(const unsigned char *text, size_t length)
{
    if (length == 1)
        return (text[0] >= ' ' || text[0] == '\t') && text[0] != 0x7f;
    return length > 2 || (length == 2 && (text[0] != 0xc2 || text[1] >= 0xa0));
}

void unicode_make_printable(char *text, size_t length)
{
    for (size_t step; length > 0; text += step, length -= step) {
        size_t bytes = unicode_length(text, length);
        step = bytes ? bytes : 1;
        if (!is_printable((const unsigned char *)text, bytes))
            memset(text, '?', step);
    }
}

size_t unicode_cut(const char *text, size_t limit)
{
    size_t length = strnlen(text, limit + 1);

    if (length <= limit)
        return length;
    for (length = limit; length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80;)
        length--;
    return length;
}
