/* What the subcommands share; see options.h. */
#include "daemon/cmd/options.h"

#include "daemon/base/memory.h"

#include <getopt.h>
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

enum { OPTION_CONTROL = 256, OPTION_FLAG };

bool options_client(int argc, char **argv, const char *usage, const char *flag,
                    struct options_client *ret_options, int *ret_code)
{
    const struct option long_options[] = {
        {"control", required_argument, NULL, OPTION_CONTROL},
        {"help", no_argument, NULL, 'h'},
        {flag, no_argument, NULL, OPTION_FLAG},
        {NULL, 0, NULL, 0},
    };
    struct options_client options = {.control = NULL};
    int option;
    optind = 0;
    while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
        if (option == OPTION_CONTROL) {
            options.control = optarg;
        } else if (option == OPTION_FLAG) {
            options.flag = true;
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
