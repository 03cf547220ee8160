/*
 * `fcgipool simulate`: how many workers the pool of a control file would have under a load, and how long
 * requests would wait; in virtual time, by the policy that the daemon runs, and by the rules of other process
 * managers.
 */
#include "daemon/base/memory.h"
#include "daemon/cmd/cmd.h"
#include "daemon/cmd/options.h"
#include "daemon/conf/conf.h"
#include "daemon/simulate/generate.h"
#include "daemon/simulate/ours.h"
#include "daemon/simulate/plot.h"
#include "daemon/simulate/report.h"
#include "daemon/simulate/rivals/rival.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>

static const char usage[] =
    "usage: fcgipool simulate (--trace CSV | --generate KIND) [OPTION]... [FILE]\n"
    "Runs the scaling of the control file FILE against a load, in virtual time; nothing is started.\n"
    "  --trace CSV        the load: at_ms,service_ms of each request, a line each, below a line that says so\n"
    "  --generate KIND    the load by a rule; KIND is one of those below\n"
    "  --seconds N        how long it lasts; a trace: at least so long\n"
    "  --seed N           another load of the same kind, 1 unless set\n"
    "  --clients N        the demand at its height, in workers; half of workers.max unless set\n"
    "  --rate N           the same in requests a second\n"
    "  --service MS       mean time that a request takes, 100 unless set\n"
    "  --start MS         time until a new worker accepts, 100 unless set\n"
    "  --rival NAME       compare with another manager's rule, any number of times: fpm-dynamic, fpm-ondemand,\n"
    "                     uwsgi-spare, uwsgi-busyness, or all; NAME:PARAMETER=N,... tunes it\n"
    "  --set PATH=VALUE   override a setting, as in --set workers.max=8; may be repeated\n"
    "  --plot FILE        a picture of demand, workers and queue: .svg or .png; needs gnuplot\n"
    "  --json             figures for programs\n"
    "  -h, --help         this text\n"
    "Kinds:\n";

enum {
    SEED_DEFAULT = 1,
    SERVICE_DEFAULT_MS = 100,
    START_DEFAULT_MS = 100,
    SECONDS_MAX = 86400,
    MS_MAX = 86400000,
    REQUESTS_MAX = 10000000
};

/* Not an exit status: the command goes on. */
enum { GOES_ON = -1 };

struct simulate {
    const char *file, *trace_file, *plot;
    const struct generate_kind *kind;
    double seconds, clients, rate, service_ms, start_ms; /* less than 0: not set */
    uint64_t seed;
    bool seed_set, json;
    const char **rivals; /* owned list, borrowed texts */
    size_t rival_count;
    struct options_sets sets;

    struct conf *conf;
    struct trace trace;
    struct manager **managers; /* owned, fcgipool first */
    size_t manager_count;
    struct run_outcome *outcomes; /* one a manager */
};

static void simulate_fini(struct simulate *simulate)
{
    for (size_t i = 0; i < simulate->manager_count; i++)
        simulate->managers[i]->free(simulate->managers[i]);
    free(simulate->managers);
    free(simulate->outcomes);
    free(simulate->rivals);
    options_sets_fini(&simulate->sets);
    trace_fini(&simulate->trace);
    conf_free(simulate->conf);
}

/* ---- options ---- */

static void print_usage(FILE *stream)
{
    fputs(usage, stream);
    for (const struct generate_kind *kind = generate_kinds; kind->name; kind++)
        fprintf(stream, "  %-17s  %s\n", kind->name, kind->help);
    fputs("FILE is ./pool.json or /etc/fcgipool/pool.json unless named.\n"
          "Exit code: 0 done, 64 usage, 70 failed, 78 control file or trace not valid.\n",
          stream);
}

/* Each returns GOES_ON or the status to exit with. */
static int parse_number(const char *name, const char *text, double low, double high, double *ret_number)
{
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end || !(number >= low && number <= high))
        return options_fail("simulate", EXIT_USAGE, "--%s takes a number from %g to %.0f, not \"%s\"", name,
                            low, high, text);
    *ret_number = number;
    return GOES_ON;
}

static int parse_seed(const char *text, struct simulate *simulate)
{
    char *end;
    errno = 0;
    long long seed = strtoll(text, &end, 10);
    if (end == text || *end || errno || seed < 0)
        return options_fail("simulate", EXIT_USAGE, "--seed takes a whole number from 0 up, not \"%s\"",
                            text);
    simulate->seed = (uint64_t)seed;
    simulate->seed_set = true;
    return GOES_ON;
}

static int parse_kind(const char *text, struct simulate *simulate)
{
    simulate->kind = generate_find(text);
    return simulate->kind
               ? GOES_ON
               : options_fail("simulate", EXIT_USAGE, "there is no kind \"%s\"; --help lists them", text);
}

static int parse_plot(const char *text, struct simulate *simulate)
{
    simulate->plot = text;
    return plot_is_known(text) ? GOES_ON
                               : options_fail("simulate", EXIT_USAGE,
                                              "--plot takes a file.svg or file.png, not \"%s\"", text);
}

static void add_rival(const char *name, struct simulate *simulate)
{
    simulate->rivals =
        memory_must(reallocarray(simulate->rivals, simulate->rival_count + 1, sizeof *simulate->rivals));
    simulate->rivals[simulate->rival_count++] = name;
}

static int parse_rival(const char *text, struct simulate *simulate)
{
    if (strcmp(text, "all") != 0)
        add_rival(text, simulate);
    else
        for (const struct rival *const *rival = rivals; *rival; rival++)
            add_rival((*rival)->name, simulate);
    return GOES_ON;
}

enum { TRACE = 256, GENERATE, SECONDS, SEED, CLIENTS, RATE, SERVICE, START, RIVAL, SET, PLOT, JSON };

static const struct option long_options[] = {
    {"trace", required_argument, NULL, TRACE},
    {"generate", required_argument, NULL, GENERATE},
    {"seconds", required_argument, NULL, SECONDS},
    {"seed", required_argument, NULL, SEED},
    {"clients", required_argument, NULL, CLIENTS},
    {"rate", required_argument, NULL, RATE},
    {"service", required_argument, NULL, SERVICE},
    {"start", required_argument, NULL, START},
    {"rival", required_argument, NULL, RIVAL},
    {"set", required_argument, NULL, SET},
    {"plot", required_argument, NULL, PLOT},
    {"json", no_argument, NULL, JSON},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int parse_amount(int option, struct simulate *simulate)
{
    switch (option) {
    case SECONDS:
        return parse_number("seconds", optarg, 1, SECONDS_MAX, &simulate->seconds);
    case CLIENTS:
        return parse_number("clients", optarg, 0.001, 1000000, &simulate->clients);
    case RATE:
        return parse_number("rate", optarg, 0.001, 1000000, &simulate->rate);
    case SERVICE:
        return parse_number("service", optarg, 0.001, MS_MAX, &simulate->service_ms);
    default:
        return parse_number("start", optarg, 0, MS_MAX, &simulate->start_ms);
    }
}

static int parse_option(int option, struct simulate *simulate)
{
    switch (option) {
    case TRACE:
        simulate->trace_file = optarg;
        return GOES_ON;
    case GENERATE:
        return parse_kind(optarg, simulate);
    case SEED:
        return parse_seed(optarg, simulate);
    case RIVAL:
        return parse_rival(optarg, simulate);
    case SET:
        options_sets_add(&simulate->sets, optarg);
        return GOES_ON;
    case PLOT:
        return parse_plot(optarg, simulate);
    case JSON:
        simulate->json = true;
        return GOES_ON;
    case 'h':
        print_usage(stdout);
        return EXIT_DONE;
    case '?':
        print_usage(stderr);
        return EXIT_USAGE;
    default:
        return parse_amount(option, simulate);
    }
}

static int check_options(const struct simulate *simulate)
{
    bool generated = simulate->clients >= 0 || simulate->rate >= 0 || simulate->service_ms >= 0;
    if (!simulate->trace_file == !simulate->kind)
        return options_fail("simulate", EXIT_USAGE, "either --trace or --generate says what the load is");
    if (simulate->trace_file && (generated || simulate->seed_set))
        return options_fail("simulate", EXIT_USAGE,
                            "--seed, --clients, --rate and --service go with --generate");
    if (simulate->clients >= 0 && simulate->rate >= 0)
        return options_fail("simulate", EXIT_USAGE, "either --clients or --rate, not both");
    return GOES_ON;
}

static int parse_options(int argc, char **argv, struct simulate *simulate)
{
    int option, status = GOES_ON;
    optind = 0;
    while (status == GOES_ON && (option = getopt_long(argc, argv, "h", long_options, NULL)) != -1)
        status = parse_option(option, simulate);
    if (status == GOES_ON)
        status = check_options(simulate);
    if (status != GOES_ON)
        return status;
    simulate->file = options_file(argc, argv, optind);
    return simulate->file ? GOES_ON : EXIT_USAGE;
}

/* ---- what is simulated ---- */

static int load_conf(struct simulate *simulate)
{
    struct problems problems __attribute__((cleanup(problems_fini))) = PROBLEMS_INIT;
    int r =
        conf_check(simulate->file, simulate->sets.items, simulate->sets.count, &problems, &simulate->conf);
    if (r < 0)
        problems_print(&problems, stderr);
    return r < 0 ? EXIT_BAD_CONFIG : GOES_ON;
}

static int read_trace(struct simulate *simulate)
{
    struct problems problems __attribute__((cleanup(problems_fini))) = PROBLEMS_INIT;
    if (trace_read(simulate->trace_file, &simulate->trace, &problems) < 0) {
        problems_print(&problems, stderr);
        return EXIT_BAD_CONFIG;
    }
    int64_t end_us = (int64_t)(simulate->seconds * 1e6);
    if (end_us > simulate->trace.end_us)
        simulate->trace.end_us = end_us;
    return GOES_ON;
}

static int generate_trace(struct simulate *simulate)
{
    const struct settings *settings = conf_settings(simulate->conf);
    double service_ms = simulate->service_ms >= 0 ? simulate->service_ms : SERVICE_DEFAULT_MS;
    struct generate generate = {.service_us = (int64_t)(service_ms * 1000),
                                .seconds = simulate->seconds >= 0 ? (int64_t)simulate->seconds
                                                                  : simulate->kind->seconds,
                                .seed = simulate->seed};
    generate.clients = simulate->rate >= 0      ? simulate->rate * service_ms / 1000
                       : simulate->clients >= 0 ? simulate->clients
                                                : (double)settings->workers_max / 2;
    if (generate.clients * (double)generate.seconds * 1000 / service_ms > REQUESTS_MAX)
        return options_fail("simulate", EXIT_USAGE, "that would be more than %d requests", REQUESTS_MAX);
    generate_make(simulate->kind, &generate, &simulate->trace);
    return GOES_ON;
}

static int64_t start_us(const struct simulate *simulate)
{
    if (simulate->start_ms >= 0)
        return (int64_t)(simulate->start_ms * 1000);
    return 1000 * (simulate->kind ? simulate->kind->start_ms : START_DEFAULT_MS);
}

static int make_managers(struct simulate *simulate)
{
    const struct settings *settings = conf_settings(simulate->conf);
    char fault[256];
    simulate->managers = memory_must(calloc(simulate->rival_count + 1, sizeof(struct manager *)));
    simulate->managers[simulate->manager_count++] = ours_new(settings);
    for (size_t i = 0; i < simulate->rival_count; i++) {
        struct manager *rival = rival_new(simulate->rivals[i], settings, fault, sizeof fault);
        if (!rival)
            return options_fail("simulate", EXIT_USAGE, "%s", fault);
        simulate->managers[simulate->manager_count++] = rival;
    }
    return GOES_ON;
}

/* ---- the run ---- */

static int print(struct simulate *simulate)
{
    struct report report = {.source = simulate->kind ? simulate->kind->name : simulate->trace_file,
                            .seed = simulate->kind ? &simulate->seed : NULL,
                            .settings = conf_settings(simulate->conf),
                            .trace = &simulate->trace,
                            .start_us = start_us(simulate),
                            .outcomes = simulate->outcomes,
                            .count = simulate->manager_count};
    ideal_of(report.trace, report.settings, &report.ideal);
    if (simulate->json) {
        json_t *json = report_json(&report);
        (void)json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
        json_decref(json);
        putchar('\n');
    } else {
        report_print(&report, stdout);
    }
    return fflush(stdout) == 0
               ? GOES_ON
               : options_fail("simulate", EXIT_FAILED, "standard output: %s", strerror(errno));
}

static int plot(const struct simulate *simulate)
{
    struct problem problem;
    if (plot_write(simulate->plot, simulate->outcomes, simulate->manager_count, &problem) < 0)
        return options_fail("simulate", EXIT_FAILED, "%s", problem.text);
    return GOES_ON;
}

static int run(struct simulate *simulate)
{
    simulate->outcomes = memory_must(calloc(simulate->manager_count, sizeof *simulate->outcomes));
    for (size_t i = 0; i < simulate->manager_count; i++)
        run_one(&simulate->trace, conf_settings(simulate->conf), start_us(simulate), simulate->managers[i],
                &simulate->outcomes[i]);
    int status = print(simulate);
    if (status == GOES_ON && simulate->plot)
        status = plot(simulate);
    return status == GOES_ON ? EXIT_DONE : status;
}

int cmd_simulate(int argc, char **argv)
{
    struct simulate simulate __attribute__((cleanup(simulate_fini))) = {
        .seconds = -1, .clients = -1, .rate = -1, .service_ms = -1, .start_ms = -1, .seed = SEED_DEFAULT};
    int status = parse_options(argc, argv, &simulate);
    if (status == GOES_ON)
        status = load_conf(&simulate);
    if (status == GOES_ON)
        status = make_managers(&simulate);
    if (status == GOES_ON)
        status = simulate.kind ? generate_trace(&simulate) : read_trace(&simulate);
    return status == GOES_ON ? run(&simulate) : status;
}
