/*
 * What a person must act on: caller-owned, with the place in the control file where there is one.
 * A list collects all faults of a file, not the first.
 */
#ifndef FCGIPOOL_DAEMON_BASE_PROBLEM_H
#define FCGIPOOL_DAEMON_BASE_PROBLEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct problem {
    char file[256];  /* as the user named it; "" when there is none */
    unsigned line;   /* 1-based; 0 when unknown */
    unsigned column; /* 1-based, in bytes */
    char path[128];  /* the setting, dotted; "" when there is none */
    char text[512];  /* what is wrong, one line, no full stop */
    bool warning;    /* true: the file is usable all the same */
};

/* A hostile file could have a hundred thousand faults; nobody reads more than these. */
#define PROBLEMS_MAX 100

struct problems {
    struct problem *items; /* owned; at most PROBLEMS_MAX */
    size_t count;
    size_t errors; /* how many are not warnings, those left out included */
    bool more;     /* some were left out */
};

#define PROBLEMS_INIT                                                                                        \
    {                                                                                                        \
        0                                                                                                    \
    }

/* Writes a formatted text (control characters and what is no UTF-8 become '?'); every other member becomes
 * empty. Returns `error`, so that a failing function can end in `return problem_set(...)`. */
__attribute__((format(printf, 3, 4))) int problem_set(struct problem *problem, int error, const char *format,
                                                      ...);

/* Prints "file:line:column: warning: path: text" with the parts that are known, and a newline. */
void problem_print(const struct problem *problem, FILE *stream);

/* Adds a copy, at its place: the problems of one file stay together, in the order of the file, those without
 * a line last. A full list only counts. Out of memory ends the process: nobody could be told. */
void problems_add(struct problems *problems, const struct problem *problem);

/* Prints all, in order. */
void problems_print(const struct problems *problems, FILE *stream);

/* Frees what the list owns. Accepts an empty list. */
void problems_fini(struct problems *problems);

#endif
