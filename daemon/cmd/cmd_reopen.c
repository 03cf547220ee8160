/* `fcgipool reopen`: has a running pool open its log files anew. */
#include "daemon/cmd/client.h"
#include "daemon/cmd/cmd.h"

static const char usage[] =
    "usage: fcgipool reopen [--control PATH] [FILE]\n"
    "Has the pool of the control file FILE open log.file and worker_output_file anew, as after a rotation. A file\n"
    "that cannot be opened goes on being used as it was.\n"
    "  --control PATH    the master's control socket, instead of FILE's\n"
    "  -h, --help        this text\n"
    "Exit code: 0 done, 64 usage, 69 no such master, 70 a file could not be opened.\n";

int cmd_reopen(int argc, char **argv)
{
    return client_command_plain(argc, argv, usage);
}
