/* `fcgipool status`: shows a running pool, for people or as JSON. */
#include "daemon/cmd/client.h"
#include "daemon/cmd/cmd.h"
#include "daemon/cmd/options.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: fcgipool status [--json] [--wait ready [--timeout SECONDS]] [--control PATH] [FILE]\n"
    "Shows the pool of the control file FILE and its workers.\n"
    "  --json            as JSON\n"
    "  --wait ready      first wait until the pool is ready: a worker accepts\n"
    "  --timeout SECONDS for how long at the most; no limit unless set\n"
    "  --control PATH    the master's control socket, instead of FILE's\n"
    "  -h, --help        this text\n"
    "Exit code: 0 done, 64 usage, 69 no such master, 70 failed (--wait: the pool fails or\n"
    "stops), 75 the time is over.\n";

static long long number(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : "-";
}

static void print_counters(json_t *counters)
{
    const char *key;
    json_t *value;
    const char *separator = "counters ";
    json_object_foreach(counters, key, value)
    {
        printf("%s%s %lld", separator, key, (long long)json_integer_value(value));
        separator = ", ";
    }
    putchar('\n');
}

static void print_table(const json_t *status)
{
    const json_t *queue = json_object_get(status, "queue");
    const json_t *workers = json_object_get(status, "workers");
    size_t index;
    json_t *worker;
    printf("pool     %s, %s, master pid %lld\n", text(status, "name"), text(status, "state"),
           number(status, "pid"));
    printf("file     %s, generation %lld\n", text(status, "file"), number(status, "generation"));
    printf("listens  %s, queue %lld of %lld\n", text(status, "listen"), number(queue, "now"),
           number(queue, "limit"));
    printf("workers  %zu, floor %lld, min %lld, max %lld\n", json_array_size(workers),
           number(status, "floor"), number(status, "min"), number(status, "max"));
    if (number(status, "orphans") > 0)
        printf("orphans  %lld workers of a former master, which has died\n", number(status, "orphans"));
    print_counters(json_object_get(status, "counters"));
    printf("\n%6s %8s %-9s %10s %11s  %s\n", "SLOT", "PID", "STATE", "AGE", "GENERATION", "OBSERVE");
    json_array_foreach(workers, index, worker)
    {
        printf("%6lld %8lld %-9s %9.1fs %11lld  %s\n", number(worker, "slot"), number(worker, "pid"),
               text(worker, "state"), (double)number(worker, "age_ms") / 1000.0, number(worker, "generation"),
               text(worker, "observe"));
    }
}

static int show(json_t *status, bool json)
{
    if (json) {
        json_dumpf(status, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        print_table(status);
    }
    return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

int cmd_status(int argc, char **argv)
{
    bool json = false;
    const char *wait = NULL, *timeout = NULL;
    const struct options_own own[] = {
        {"json", &json, NULL}, {"wait", NULL, &wait}, {"timeout", NULL, &timeout}, {NULL, NULL, NULL}};
    struct options_client options;
    json_t *status = NULL;
    int64_t timeout_ms = 0;
    int code;
    if (!options_client(argc, argv, usage, own, &options, &code))
        return code;
    if ((wait && strcmp(wait, "ready") != 0) || (timeout && !wait)) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    if (timeout && (!options_seconds(timeout, &timeout_ms) || timeout_ms == 0)) {
        fprintf(stderr, "fcgipool status: --timeout takes a number of seconds up to %d, not \"%s\"\n",
                OPTIONS_SECONDS_MAX, timeout);
        return EXIT_USAGE;
    }
    code = client_run_within(timeout_ms, options.file, options.control, "status",
                             wait ? json_pack("{s:s}", "wait", wait) : NULL, &status);
    if (code == EXIT_DONE)
        code = show(status, json);
    json_decref(status);
    return code;
}
