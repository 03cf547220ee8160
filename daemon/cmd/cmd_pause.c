/* `fcgipool pause` and `fcgipool resume`: take all workers of a running pool away, and bring them back. */
#include "daemon/cmd/client.h"
#include "daemon/cmd/cmd.h"
#include "daemon/cmd/options.h"

static const char pause_usage[] =
    "usage: fcgipool pause [--control PATH] [FILE]\n"
    "Lets every worker of the pool of the control file FILE finish its requests and go, and returns when none\n"
    "is left. The master and the socket stay: new connections wait in the queue until `fcgipool resume`.\n"
    "  --control PATH    the master's control socket, instead of FILE's\n"
    "  -h, --help        this text\n"
    "Exit code: 0 done, 64 usage, 69 no such master, 70 failed, 75 not now.\n";

static const char resume_usage[] =
    "usage: fcgipool resume [--control PATH] [FILE]\n"
    "Starts the workers of a pool that was paused, and returns when they serve.\n"
    "  --control PATH    the master's control socket, instead of FILE's\n"
    "  -h, --help        this text\n"
    "Exit code: 0 done, 64 usage, 69 no such master, 70 failed, 75 not now.\n";

static int run(int argc, char **argv, const char *usage)
{
    struct options_client options;
    json_t *result = NULL;
    int code;
    if (!options_client(argc, argv, usage, NULL, &options, &code))
        return code;
    code = client_run(options.file, options.control, argv[0], NULL, &result);
    json_decref(result);
    return code;
}

int cmd_pause(int argc, char **argv)
{
    return run(argc, argv, pause_usage);
}

int cmd_resume(int argc, char **argv)
{
    return run(argc, argv, resume_usage);
}
