/* `fcgipool reload`: renews the workers of a running pool from its control file. */
#include "daemon/cmd/client.h"
#include "daemon/cmd/cmd.h"

static const char usage[] =
    "usage: fcgipool reload [--control PATH] [FILE]\n"
    "Has the pool of the control file FILE read it again and replace its workers, new before old, and returns\n"
    "when all that serve are new. When the file is not valid, or the new workers do not come up, the former\n"
    "settings are in effect, and the reason is printed. Ends a pause, too.\n"
    "  --control PATH    the master's control socket, instead of FILE's\n"
    "  -h, --help        this text\n"
    "Exit code: 0 done, 64 usage, 69 no such master, 70 failed, 75 not now, 78 bad control file.\n";

int cmd_reload(int argc, char **argv)
{
    return client_command_plain(argc, argv, usage);
}
