/* `fcgipool check`: all that is wrong with a control file, or its effective values. */
#include "daemon/cmd/cmd.h"
#include "daemon/cmd/options.h"
#include "daemon/conf/conf.h"
#include "daemon/conf/conf_schema.h"

#include <getopt.h>
#include <stdio.h>

static const char usage[] =
    "usage: fcgipool check [--dump] [--set PATH=VALUE]... [FILE]\n"
    "       fcgipool check --schema\n"
    "Says all that is wrong with the control file FILE; nothing is started.\n"
    "  --dump            print every setting with its value and where that came from\n"
    "  --set PATH=VALUE  override a setting, as in --set workers.max=8; may be repeated\n"
    "  --schema          print the JSON schema of control files; takes no FILE\n"
    "  -h, --help        this text\n"
    "FILE is ./pool.json or /etc/fcgipool/pool.json unless named.\n"
    "Exit code: 0 valid, 64 usage, 78 not valid.\n";

enum { OPTION_DUMP = 256, OPTION_SET, OPTION_SCHEMA };

static const struct option long_options[] = {
    {"dump", no_argument, NULL, OPTION_DUMP},
    {"set", required_argument, NULL, OPTION_SET},
    {"schema", no_argument, NULL, OPTION_SCHEMA},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int check(const char *file, const struct options_sets *sets, bool dump)
{
    struct problems problems = PROBLEMS_INIT;
    struct conf *conf = NULL;

    int r = conf_check(file, sets->items, sets->count, &problems, &conf);
    if (r == 0)
        conf_probe(conf, &problems);
    problems_print(&problems, stderr);
    problems_fini(&problems);
    if (r < 0)
        return EXIT_BAD_CONFIG;
    if (dump)
        conf_dump(conf, stdout);
    else
        printf("%s: ok\n", file);
    conf_free(conf);
    return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

static int print_schema(void)
{
    json_t *schema = conf_schema();
    int r = json_dumpf(schema, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
    json_decref(schema);
    putchar('\n');
    return r == 0 && fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

int cmd_check(int argc, char **argv)
{
    struct options_sets sets __attribute__((cleanup(options_sets_fini))) = OPTIONS_SETS_INIT;
    bool dump = false, schema = false;
    int option;

    optind = 0;
    while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
        if (option == OPTION_DUMP) {
            dump = true;
        } else if (option == OPTION_SCHEMA) {
            schema = true;
        } else if (option == OPTION_SET) {
            options_sets_add(&sets, optarg);
        } else {
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? EXIT_DONE : EXIT_USAGE;
        }
    }
    if (schema && (optind < argc || dump || sets.count)) {
        fputs("fcgipool check: --schema takes no file and no other option\n", stderr);
        return EXIT_USAGE;
    }
    if (schema)
        return print_schema();
    const char *file = options_file(argc, argv, optind);
    return file ? check(file, &sets, dump) : EXIT_USAGE;
}
