/* `fcgipool stop`: stops a running pool and waits until it has gone. */
#include "daemon/cmd/client.h"
#include "daemon/cmd/cmd.h"
#include "daemon/cmd/options.h"

#include <stdbool.h>
#include <stdio.h>

static const char usage[] =
    "usage: fcgipool stop [--quick] [--control PATH] [FILE]\n"
    "Stops the pool of the control file FILE and returns when it has gone. New connections are refused at once;\n"
    "queued and running requests are finished, for graceful_timeout at the longest.\n"
    "  --quick           abort the workers, whatever they do\n"
    "  --control PATH    the master's control socket, instead of FILE's\n"
    "  -h, --help        this text\n"
    "Exit code: 0 stopped, 64 usage, 69 no such master, 70 failed.\n";

int cmd_stop(int argc, char **argv)
{
    bool quick = false;
    const struct options_own own[] = {{"quick", &quick, NULL}, {NULL, NULL, NULL}};
    struct options_client options;
    json_t *result = NULL;
    int code;
    if (!options_client(argc, argv, usage, own, &options, &code))
        return code;
    code = client_run(options.file, options.control, "stop", json_pack("{s:b}", "quick", quick), &result);
    json_decref(result);
    return code;
}
