/* `fcgipool pause`: takes all workers of a running pool away. */
#include "daemon/cmd/client.h"
#include "daemon/cmd/cmd.h"

static const char usage[] =
    "usage: fcgipool pause [--control PATH] [FILE]\n"
    "Lets every worker of the pool of the control file FILE finish its requests and go, and returns when none\n"
    "is left. The master and the socket stay: new connections wait in the queue until `fcgipool resume`.\n"
    "  --control PATH    the master's control socket, instead of FILE's\n"
    "  -h, --help        this text\n"
    "Exit code: 0 done, 64 usage, 69 no such master, 70 failed, 75 not now.\n";

int cmd_pause(int argc, char **argv)
{
    return client_command_plain(argc, argv, usage);
}
