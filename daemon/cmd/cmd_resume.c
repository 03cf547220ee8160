/* `fcgipool resume`: brings the workers of a paused pool back. */
#include "daemon/cmd/client.h"
#include "daemon/cmd/cmd.h"

static const char usage[] = "usage: fcgipool resume [--control PATH] [FILE]\n"
                            "Starts the workers of a pool that was paused, and returns when they serve.\n"
                            "  --control PATH    the master's control socket, instead of FILE's\n"
                            "  -h, --help        this text\n"
                            "Exit code: 0 done, 64 usage, 69 no such master, 70 failed, 75 not now.\n";

int cmd_resume(int argc, char **argv)
{
    return client_command_plain(argc, argv, usage);
}
