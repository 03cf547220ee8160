/* Process title: the kernel shows the memory in which it once put argv and the environment; see title.h. */
#include "daemon/base/title.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    char *start;  /* argv, and the environment behind it, as the kernel knows them */
    size_t size;  /* of both */
    char *copies; /* of their strings, to the end of the process */
} memory;

/* Copies the strings of a vector to `*to`. `ret_end` follows while the old ones lie in one piece. */
static void move_strings(char **strings, char **to, const char **ret_end)
{
    for (; *strings; strings++) {
        size_t size = strlen(*strings) + 1;
        if (*strings == *ret_end)
            *ret_end += size;
        *strings = memcpy(*to, *strings, size);
        *to += size;
    }
}

static size_t sizes(char *const *strings)
{
    size_t sum = 0;
    for (; *strings; strings++)
        sum += strlen(*strings) + 1;
    return sum;
}

void title_init(int argc, char **argv)
{
    char *start = argc ? argv[0] : NULL;
    const char *end = start;
    char *to = memory.copies = start ? malloc(sizes(argv) + sizes(environ)) : NULL;
    if (!to)
        return;
    move_strings(argv, &to, &end);
    move_strings(environ, &to, &end);
    memory.start = start;
    memory.size = (size_t)(end - start);
}

void title_set(const char *format, ...)
{
    va_list args;
    if (!memory.size)
        return;
    memset(memory.start, 0, memory.size);
    va_start(args, format);
    vsnprintf(memory.start, memory.size, format, args);
    va_end(args);
}
