/* The fcgipool program: finds the subcommand. */
#include "daemon/activation.h"
#include "daemon/base/exit_code.h"
#include "daemon/base/origin.h"
#include "daemon/base/title.h"
#include "daemon/cmd/cmd.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"start", cmd_start, "run the pool of a control file"},
    {"stop", cmd_stop, "stop it, when running requests are finished"},
    {"reload", cmd_reload, "renew its workers from its control file, without a pause"},
    {"upgrade", cmd_upgrade, "run the program that is on disk now in its place"},
    {"reopen", cmd_reopen, "open its log files anew, after a rotation"},
    {"scale", cmd_scale, "set or change the number of workers"},
    {"pause", cmd_pause, "take all workers away; connections wait"},
    {"resume", cmd_resume, "bring the workers back after a pause"},
    {"status", cmd_status, "show the pool and its workers"},
    {"check", cmd_check, "validate a control file"},
    {"request", cmd_request, "send one request to the pool"},
    {"simulate", cmd_simulate, "how many workers a load would make it have"},
    {"version", cmd_version, "print the version"},
};

static void usage(FILE *stream)
{
    fputs("usage: fcgipool COMMAND [OPTION]... [FILE]\n\n"
          "FILE is the control file of the pool: ./pool.json or /etc/fcgipool/pool.json unless named.\n\n",
          stream);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        fprintf(stream, "  %-8s  %s\n", commands[i].name, commands[i].help);
    fputs("\nfcgipool COMMAND --help tells more.\n", stream);
}

/* Descriptors 0 to 2 must be taken, or a socket of ours becomes somebody's standard error. */
static void open_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    origin_init(argv);
    open_standard_descriptors();
    title_init(argc, argv);
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "start") != 0) /* whose pool may have it */
        activation_leave_stdin();
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        usage(stdout);
        return EXIT_DONE;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        name = "version";
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    if (*name)
        fprintf(stderr, "fcgipool: unknown command \"%s\"\n\n", name);
    usage(stderr);
    return EXIT_USAGE;
}
