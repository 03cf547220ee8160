/* `fcgipool status`: shows a running pool, for people or as JSON. */
#include "daemon/cmd/client.h"
#include "daemon/cmd/cmd.h"
#include "daemon/cmd/options.h"

#include <stdbool.h>
#include <stdio.h>

static const char usage[] = "usage: fcgipool status [--json] [--control PATH] [FILE]\n"
                            "Shows the pool of the control file FILE and its workers.\n"
                            "  --json            as JSON\n"
                            "  --control PATH    the master's control socket, instead of FILE's\n"
                            "  -h, --help        this text\n"
                            "Exit code: 0 done, 64 usage, 69 no such master, 70 failed.\n";

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
    print_counters(json_object_get(status, "counters"));
    printf("\n%6s %8s %-9s %10s %11s  %s\n", "SLOT", "PID", "STATE", "AGE", "GENERATION", "OBSERVE");
    json_array_foreach(workers, index, worker)
    {
        printf("%6lld %8lld %-9s %9.1fs %11lld  %s\n", number(worker, "slot"), number(worker, "pid"),
               text(worker, "state"), (double)number(worker, "age_ms") / 1000.0, number(worker, "generation"),
               text(worker, "observe"));
    }
}

static int show(const char *file, const char *control, bool json)
{
    json_t *status = NULL;
    int code = client_run(file, control, "status", NULL, &status);
    if (code != EXIT_DONE)
        return code;
    if (json) {
        json_dumpf(status, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        print_table(status);
    }
    json_decref(status);
    return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

int cmd_status(int argc, char **argv)
{
    struct options_client options;
    int code;
    if (!options_client(argc, argv, usage, "json", &options, &code))
        return code;
    return show(options.file, options.control, options.flag);
}
