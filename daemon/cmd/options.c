/* What the subcommands share; see options.h. */
#include "daemon/cmd/options.h"

#include "daemon/base/memory.h"

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
