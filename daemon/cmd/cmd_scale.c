/* `fcgipool scale`: sets or changes the number of workers and waits until it is reached. */
#include "daemon/cmd/client.h"
#include "daemon/cmd/cmd.h"
#include "daemon/cmd/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
    "usage: fcgipool scale N|+N|-N [--control PATH] [FILE]\n"
    "Sets the number of workers of the pool of the control file FILE to N, or changes it by N, and returns when\n"
    "the workers serve and no surplus is left.\n"
    "  --control PATH    the master's control socket, instead of FILE's\n"
    "  -h, --help        this text\n"
    "Exit code: 0 done, 64 usage, 69 no such master, 70 failed, 75 not now.\n";

static bool is_count(const char *text)
{
    if (*text == '+' || *text == '-')
        text++;
    if (!*text)
        return false;
    while (isdigit((unsigned char)*text))
        text++;
    return !*text;
}

/* Takes the count out of the arguments, before "-2" could be taken for an option. NULL: there is none. */
static const char *take_count(int *argc, char **argv)
{
    for (int i = 1; i < *argc; i++) {
        if (is_count(argv[i])) {
            const char *count = argv[i];
            for (int j = i; j < *argc; j++) /* argv[argc], NULL, too */
                argv[j] = argv[j + 1];
            --*argc;
            return count;
        }
    }
    return NULL;
}

static int scale(const char *file, const char *control, const char *count)
{
    json_t *result = NULL;
    bool relative = !isdigit((unsigned char)*count);
    errno = 0;
    long long number = strtoll(count, NULL, 10);
    if (errno) {
        fprintf(stderr, "fcgipool scale: %s is out of range\n", count);
        return EXIT_USAGE;
    }
    json_t *args = json_pack("{s:I,s:b}", "number", (json_int_t)number, "relative", relative);
    int code = client_run(file, control, "scale", args, &result);
    if (code == EXIT_DONE)
        printf("%lld workers%s\n", (long long)json_integer_value(json_object_get(result, "workers")),
               json_is_true(json_object_get(result, "paused")) ? " as soon as the pool is resumed" : "");
    json_decref(result);
    return code;
}

int cmd_scale(int argc, char **argv)
{
    const char *count = take_count(&argc, argv);
    struct options_client options;
    int code;
    if (!options_client(argc, argv, usage, NULL, &options, &code))
        return code;
    if (!count) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    return scale(options.file, options.control, count);
}
