/* What the subcommands share; see options.h. */
#include "daemon/cmd/options.h"

#include "daemon/base/memory.h"
#include "pool/assert.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

const char *options_file(int argc, char **argv, int index)
{
    static const char *const usual[] = {"./pool.json", "/etc/fcgipool/pool.json"};

    if (argc - index > 1) {
        fprintf(stderr, "fcgipool %s: one control file at most, not \"%s\" and \"%s\"\n", argv[0],
                argv[index], argv[index + 1]);
        return NULL;
    }
    if (index < argc)
        return argv[index];
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
        if (access(usual[i], F_OK) == 0)
            return usual[i];
    fprintf(stderr, "fcgipool %s: no control file: name one, or have %s or %s\n", argv[0], usual[0],
            usual[1]);
    return NULL;
}

int options_fail(const char *command, int status, const char *format, ...)
{
    va_list arguments;
    fflush(stdout);
    fprintf(stderr, "fcgipool %s: ", command);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return status;
}

void options_sets_add(struct options_sets *sets, char *set)
{
    sets->items = memory_must(reallocarray(sets->items, sets->count + 1, sizeof *sets->items));
    sets->items[sets->count++] = set;
}

void options_sets_fini(struct options_sets *sets)
{
    free(sets->items);
    *sets = (struct options_sets)OPTIONS_SETS_INIT;
}

bool options_seconds(const char *text, int64_t *ret_ms)
{
    char *end;
    double seconds = strtod(text, &end);

    if (end == text || *end != '\0' || !(seconds >= 0 && seconds <= OPTIONS_SECONDS_MAX))
        return false;
    *ret_ms = (int64_t)(seconds * 1000);
    if (*ret_ms == 0 && seconds > 0)
        *ret_ms = 1;
    return true;
}

enum { OPTION_CONTROL = 256, OPTION_OWN }; /* OPTION_OWN + i: own[i] */

static void add_own(struct option *table, const struct options_own *own)
{
    for (int i = 0; own && own[i].name; i++) {
        ASSERT(i < OPTIONS_OWN_MAX);
        table[i] = (struct option){own[i].name, own[i].value ? required_argument : no_argument, NULL,
                                   OPTION_OWN + i};
    }
}

static void take_own(const struct options_own *own)
{
    if (own->value)
        *own->value = optarg;
    else
        *own->flag = true;
}

bool options_client(int argc, char **argv, const char *usage, const struct options_own *own,
                    struct options_client *ret_options, int *ret_code)
{
    struct option long_options[2 + OPTIONS_OWN_MAX + 1] = {
        {"control", required_argument, NULL, OPTION_CONTROL},
        {"help", no_argument, NULL, 'h'},
    };
    struct options_client options = {.control = NULL};
    int option;
    add_own(&long_options[2], own);
    optind = 0;
    while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
        if (option == OPTION_CONTROL) {
            options.control = optarg;
        } else if (option >= OPTION_OWN) {
            take_own(&own[option - OPTION_OWN]);
        } else {
            fputs(usage, option == 'h' ? stdout : stderr);
            *ret_code = option == 'h' ? EXIT_DONE : EXIT_USAGE;
            return false;
        }
    }
    options.file = options.control ? options.control : options_file(argc, argv, optind);
    *ret_code = EXIT_USAGE;
    *ret_options = options;
    return options.file != NULL;
}
