/* `fcgipool version`: ours and that of the libraries. */
#include "daemon/cmd/cmd.h"
#include "daemon/cmd/options.h"

#include <ev.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

int cmd_version(int argc, char **argv)
{
    bool help = argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
    if (argc > 1) {
        fputs("usage: fcgipool version\nPrints the versions of fcgipool and of the libraries it runs with.\n",
              help ? stdout : stderr);
        return help ? EXIT_DONE : EXIT_USAGE;
    }
    printf("fcgipool %s\nlibev %d.%d\njansson %s\n", FCGIPOOL_VERSION, ev_version_major(), ev_version_minor(),
           jansson_version_str());
    return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}
