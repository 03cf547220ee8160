/*
 * What a person must act on: caller-owned, with the place in the control file where there is one.
 * A list collects all faults of a file, not the first.
 */
#ifndef FCGIPOOL_DAEMON_PROBLEM_H
#define FCGIPOOL_DAEMON_PROBLEM_H

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

struct problems {
    struct problem *items; /* owned */
    size_t count;
    size_t errors; /* how many are not warnings */
};

#define PROBLEMS_INIT {0}

/* Writes a formatted text; every other member becomes empty. Returns `error`, so that a failing function can
 * end in `return problem_set(...)`. */
__attribute__((format(printf, 3, 4))) int problem_set(struct problem *problem, int error, const char *format, ...);

/* Prints "file:line:column: path: text" with the parts that are known, and a newline. */
void problem_print(const struct problem *problem, FILE *stream);

/* Appends a copy. Out of memory ends the process: nobody could be told. */
void problems_add(struct problems *problems, const struct problem *problem);

/* Prints all, in the order of the file. */
void problems_print(const struct problems *problems, FILE *stream);

/* Frees what the list owns. Accepts an empty list. */
void problems_fini(struct problems *problems);

#endif
