/*
 * Memory that must be there: small allocations without which there is no sensible way on.
 */
#ifndef FCGIPOOL_DAEMON_BASE_MEMORY_H
#define FCGIPOOL_DAEMON_BASE_MEMORY_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Returns `allocated`, or ends the process when it is NULL: nobody could be told. */
static inline void *memory_must(void *allocated)
{
    if (!allocated) {
        fputs("fcgipool: out of memory\n", stderr);
        abort();
    }
    return allocated;
}

/* A formatted text on the heap. */
__attribute__((format(printf, 1, 2))) static inline char *memory_text(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;

    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    return memory_must(length < 0 ? NULL : text);
}

/* For __attribute__((cleanup(memory_free_text))) on a `char *`. */
static inline void memory_free_text(char **text)
{
    free(*text);
}

#endif
