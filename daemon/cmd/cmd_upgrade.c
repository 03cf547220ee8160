/* `fcgipool upgrade`: has a running pool go on under the program that is on disk now. */
#include "daemon/base/exit_code.h"
#include "daemon/cmd/client.h"
#include "daemon/cmd/cmd.h"
#include "daemon/cmd/options.h"

#include <stdio.h>

/* From the end of the old master to the first answer of the new one. */
#define ANSWER_MS 10000

static const char usage[] =
    "usage: fcgipool upgrade [--control PATH] [FILE]\n"
    "Starts a second master of the control file FILE from the program that is on disk now, on the same sockets.\n"
    "When all of its workers serve, the former master lets its own finish what they have, and leaves; returns\n"
    "when the new one has taken its place. When that does not come up, the former one goes on as if nothing had\n"
    "been, and the reason is printed.\n"
    "  --control PATH    the master's control socket, instead of FILE's\n"
    "  -h, --help        this text\n"
    "Exit code: 0 done, 64 usage, 69 no such master, 70 failed, 75 not now, 78 bad control file.\n";

/* The control socket is the same: whoever answers now is the new master. */
static int greet(const struct options_client *options, json_int_t pid)
{
    json_t *status = NULL;
    int code = client_run_within(ANSWER_MS, options->file, options->control, "status", NULL, &status);
    json_int_t found = json_integer_value(json_object_get(status, "pid"));
    json_decref(status);
    if (code == EXIT_DONE && found == pid)
        return EXIT_DONE;
    fprintf(stderr, "fcgipool: the former master has left, and the new one, pid %lld, does not answer\n",
            (long long)pid);
    return EXIT_FAILED;
}

int cmd_upgrade(int argc, char **argv)
{
    struct options_client options;
    json_t *result;
    int code = client_command(argc, argv, usage, &options, &result);
    if (result)
        code = greet(&options, json_integer_value(json_object_get(result, "pid")));
    json_decref(result);
    return code;
}
