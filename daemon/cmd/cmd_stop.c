/* `fcgipool stop`: stops a running pool and waits until it has gone. */
#include "daemon/cmd/client.h"
#include "daemon/cmd/cmd.h"
#include "daemon/cmd/options.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>

static const char usage[] = "usage: fcgipool stop [--quick] [--control PATH] [FILE]\n"
                            "Stops the pool of the control file FILE and returns when it has gone. New "
                            "connections are refused at once;\n"
                            "queued and running requests are finished, for graceful_timeout at the longest.\n"
                            "  --quick           abort the workers, whatever they do\n"
                            "  --control PATH    the master's control socket, instead of FILE's\n"
                            "  -h, --help        this text\n"
                            "Exit code: 0 stopped, 64 usage, 69 no such master, 70 failed.\n";

enum { OPTION_QUICK = 256, OPTION_CONTROL };

static const struct option long_options[] = {
    {"quick", no_argument, NULL, OPTION_QUICK},
    {"control", required_argument, NULL, OPTION_CONTROL},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

int cmd_stop(int argc, char **argv)
{
    const char *control = NULL;
    bool quick = false;
    int option;
    json_t *result = NULL;
    optind = 0;
    while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
        if (option == OPTION_QUICK) {
            quick = true;
        } else if (option == OPTION_CONTROL) {
            control = optarg;
        } else {
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? EXIT_DONE : EXIT_USAGE;
        }
    }
    const char *file = control ? control : options_file(argc, argv, optind);
    if (!file)
        return EXIT_USAGE;
    int code = client_run(file, control, "stop", json_pack("{s:b}", "quick", quick), &result);
    json_decref(result);
    return code;
}
