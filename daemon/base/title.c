/* Process title: the kernel shows the memory in which it once put argv and the environment; see title.h. */
#include "daemon/base/title.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    char *start;
    size_t size;
} memory;

/* Copies the strings of a vector; false when memory is out. `ret_end` follows while they lie in one piece. */
static bool move_strings(char **strings, char **ret_end)
{
    for (; *strings; strings++) {
        char *copy = strdup(*strings);
        if (!copy)
            return false;
        if (*strings == *ret_end)
            *ret_end += strlen(*strings) + 1;
        *strings = copy;
    }
    return true;
}

void title_init(int argc, char **argv)
{
    char *start = argc ? argv[0] : NULL;
    char *end = start;
    if (start && move_strings(argv, &end) && move_strings(environ, &end)) {
        memory.start = start;
        memory.size = (size_t)(end - start);
    }
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
