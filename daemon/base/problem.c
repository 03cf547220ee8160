/* Problems and lists of them; see problem.h. */
#include "daemon/base/problem.h"

#include "daemon/base/memory.h"
#include "daemon/base/unicode.h"

#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Names from a control file must not reach a terminal as control sequences (C1, U+0080 to U+009F, included),
 * nor split the line; and a text that was cut must still be one that JSON can carry. */
static void make_printable(char *text)
{
    unicode_mend(text);
    for (unsigned char *c = (unsigned char *)text; *c; c++) {
        if (*c < ' ' || *c == 0x7f)
            *c = '?';
        else if (c[0] == 0xc2 && c[1] < 0xa0)
            c[0] = c[1] = '?';
    }
}

int problem_set(struct problem *problem, int error, const char *format, ...)
{
    /* The arguments may point into the problem itself. */
    struct problem filled = {0};
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(filled.text, sizeof filled.text, format, arguments);
    va_end(arguments);
    make_printable(filled.text);
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
    make_printable(problems->items[at].path);
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
