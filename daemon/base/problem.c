/* Problems and lists of them; see problem.h. */
#include "daemon/base/problem.h"

#include "daemon/base/memory.h"
#include "daemon/base/unicode.h"

#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

int problem_set(struct problem *problem, int error, const char *format, ...)
{
    /* The arguments may point into the problem itself. */
    struct problem filled = {0};
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(filled.text, sizeof filled.text, format, arguments);
    va_end(arguments);
    unicode_make_printable(filled.text, strlen(filled.text));
    *problem = filled;
    return error;
}

void problem_print(const struct problem *problem, FILE *stream)
{
    if (problem->file[0] && problem->line)
        fprintf(stream, "%s:%u:%u: ", problem->file, problem->line, problem->column);
    else if (problem->file[0])
        fprintf(stream, "%s: ", problem->file);
    if (problem->warning)
        fputs("warning: ", stream);
    if (problem->path[0])
        fprintf(stream, "%s: ", problem->path);
    fprintf(stream, "%s\n", problem->text);
}

static bool comes_after(const struct problem *a, const struct problem *b)
{
    unsigned line_a = a->line ? a->line : UINT_MAX;
    unsigned line_b = b->line ? b->line : UINT_MAX;
    return line_a != line_b ? line_a > line_b : a->column > b->column;
}

void problems_add(struct problems *problems, const struct problem *problem)
{
    size_t at = problems->count;

    problems->errors += !problem->warning;
    if (problems->count == PROBLEMS_MAX) {
        problems->more = true;
        return;
    }
    for (size_t i = problems->count; i-- > 0;) {
        if (strcmp(problems->items[i].file, problem->file) != 0)
            continue;
        if (!comes_after(&problems->items[i], problem)) {
            at = i + 1;
            break;
        }
        at = i;
    }
    problems->items =
        memory_must(reallocarray(problems->items, problems->count + 1, sizeof *problems->items));
    memmove(&problems->items[at + 1], &problems->items[at], (problems->count - at) * sizeof *problems->items);
    problems->items[at] = *problem;
    char *path = problems->items[at].path;
    unicode_make_printable(path, strlen(path));
    problems->count++;
}

void problems_print(const struct problems *problems, FILE *stream)
{
    for (size_t i = 0; i < problems->count; i++)
        problem_print(&problems->items[i], stream);
    if (problems->more)
        fputs("there are more problems than these\n", stream);
}

void problems_fini(struct problems *problems)
{
    free(problems->items);
    *problems = (struct problems)PROBLEMS_INIT;
}
