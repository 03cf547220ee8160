/* `fcgipool start`: runs the pool of a control file, in the foreground or in the background. */
#include "daemon/activation.h"
#include "daemon/base/exit_code.h"
#include "daemon/cmd/cmd.h"
#include "daemon/cmd/options.h"
#include "daemon/conf/conf.h"
#include "daemon/master.h"
#include "daemon/signals.h"

#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

static const char usage[] =
    "usage: fcgipool start [-d] [--set PATH=VALUE]... [FILE]\n"
    "Runs the pool of the control file FILE in the foreground until it is stopped.\n"
    "  -d, --daemon      run it in the background, as with `daemon`: true in FILE, and return when it is ready\n"
    "  --set PATH=VALUE  override a setting, as in --set workers=8; may be repeated\n"
    "  -h, --help        this text\n"
    "Signals: TERM graceful stop, INT and QUIT quick stop, TTIN and TTOU one worker more or less, HUP reload,\n"
    "USR2 upgrade, WINCH pause, USR1 reopen the log files.\n"
    "Exit code: 0 stopped (-d: ready), 64 usage, 70 failed, 75 already running, 78 bad control file.\n";

enum { OPTION_SET = 256 };

static const struct option long_options[] = {
    {"daemon", no_argument, NULL, 'd'},
    {"set", required_argument, NULL, OPTION_SET},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* The new master of an upgrade is where the former one is, and in the background if that is; it gets sockets
 * from that one. */
static int run(const struct conf *conf, struct announce *announce, struct inheritance *inheritance,
               struct activation *activation)
{
    struct problem problem;
    int code;
    if (inheritance->will)
        return master_run(conf, announce, inheritance, &activation->listener);
    if (conf_settings(conf)->daemon && getpid() == 1)
        return options_fail("start", EXIT_USAGE,
                            "process 1 of a container cannot go to the background, for the container ends "
                            "with it: leave out -d and `daemon`");
    if (activation_open(activation, conf, &problem) != 0) {
        problem_print(&problem, stderr);
        return EXIT_BAD_CONFIG;
    }
    if (conf_settings(conf)->daemon && !detach_fork(&announce->detach, &activation->listener.fd, &code))
        return code;
    return master_run(conf, announce, inheritance, &activation->listener);
}

static int start(const char *file, const struct options_sets *sets)
{
    struct problems problems = PROBLEMS_INIT;
    struct conf *conf;
    struct announce announce;
    struct inheritance inheritance;
    struct activation activation;
    struct problem problem;
    int code = EXIT_BAD_CONFIG;
    /* For process 1 the kernel drops what it neither handles nor blocks. */
    if (getpid() == 1)
        signals_hold();
    announce_init(&announce);
    inherit_take(&inheritance);
    activation_take(&activation);
    int result = conf_load(file, sets->items, sets->count, &problems, &conf);
    problems_print(&problems, stderr);
    problems_fini(&problems);
    if (result == 0 && inherit_check(&inheritance, conf, &problem)) {
        problem_print(&problem, stderr);
        conf_free(conf);
    } else if (result == 0) {
        code = run(conf, &announce, &inheritance, &activation);
        conf_free(conf);
    }
    activation_fini(&activation);
    inherit_fini(&inheritance);
    return code;
}

int cmd_start(int argc, char **argv)
{
    struct options_sets sets __attribute__((cleanup(options_sets_fini))) = OPTIONS_SETS_INIT;
    char in_background[] = "daemon=true";
    int option;
    optind = 0;
    while ((option = getopt_long(argc, argv, "dh", long_options, NULL)) != -1) {
        if (option == OPTION_SET) {
            options_sets_add(&sets, optarg);
        } else if (option == 'd') {
            options_sets_add(&sets, in_background);
        } else {
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? EXIT_DONE : EXIT_USAGE;
        }
    }
    const char *file = options_file(argc, argv, optind);
    return file ? start(file, &sets) : EXIT_USAGE;
}
