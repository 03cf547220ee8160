/* `fcgipool status`: shows a running pool, for people or as JSON. */
#include "daemon/base/memory.h"
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
    const char *separator = "";
    printf("counters ");
    json_object_foreach(counters, key, value)
    {
        if (json_integer_value(value) == 0)
            continue; /* there are many */
        printf("%s%s %lld", separator, key, (long long)json_integer_value(value));
        separator = ", ";
    }
    putchar('\n');
}

/* "87ms", "1.2s", "3h": so short that a column holds it. */
static const char *short_time(double seconds, char ret_text[16])
{
    if (seconds < 1.0)
        (void)snprintf(ret_text, 16, "%.0fms", seconds * 1000.0);
    else if (seconds < 120.0)
        (void)snprintf(ret_text, 16, "%.1fs", seconds);
    else if (seconds < 7200.0)
        (void)snprintf(ret_text, 16, "%.0fm", seconds / 60.0);
    else if (seconds < 172800.0)
        (void)snprintf(ret_text, 16, "%.0fh", seconds / 3600.0);
    else
        (void)snprintf(ret_text, 16, "%.0fd", seconds / 86400.0);
    return ret_text;
}

static const char *short_size(const json_t *bytes, char ret_text[16])
{
    double size = (double)json_integer_value(bytes);
    if (json_is_null(bytes))
        (void)snprintf(ret_text, 16, "-");
    else if (size < 10.0 * 1048576.0)
        (void)snprintf(ret_text, 16, "%.1fM", size / 1048576.0);
    else
        (void)snprintf(ret_text, 16, "%.0fM", size / 1048576.0);
    return ret_text;
}

/* "17", "17/50" with a limit, "-" when nobody knows. */
static const char *short_requests(const json_t *worker, char ret_text[48])
{
    const json_t *limit = json_object_get(worker, "max_requests");
    if (json_is_null(json_object_get(worker, "requests")))
        (void)snprintf(ret_text, 48, "-");
    else if (json_is_null(limit))
        (void)snprintf(ret_text, 48, "%lld", number(worker, "requests"));
    else
        (void)snprintf(ret_text, 48, "%lld/%lld", number(worker, "requests"), number(worker, "max_requests"));
    return ret_text;
}

static void print_work(const json_t *status)
{
    const json_t *service = json_object_get(status, "service_ms");
    printf("requests %lld, %.1f a second", number(status, "requests"),
           json_real_value(json_object_get(status, "rate")));
    if (json_is_object(service))
        printf(", service time p50 %.3f ms, p90 %.3f ms, p99 %.3f ms",
               json_real_value(json_object_get(service, "p50")),
               json_real_value(json_object_get(service, "p90")),
               json_real_value(json_object_get(service, "p99")));
    putchar('\n');
}

/* What the worker is at: its oldest request, or who keeps it from one. */
static void print_current(const json_t *worker)
{
    const json_t *current = json_object_get(worker, "current");
    const json_t *connections = json_object_get(worker, "connections");
    long long busy = number(connections, "busy"), kept = number(connections, "kept");
    char age[16];
    if (json_is_null(connections))
        printf("not seen");
    else if (json_is_null(current))
        printf("%s", number(connections, "finishing") ? "finishing"
                     : kept                           ? "kept by an idle connection"
                                                      : "-");
    else if (strcmp(text(current, "state"), "busy") != 0)
        printf("%s waiting for a client's request",
               short_time((double)number(current, "age_ms") / 1000.0, age));
    else
        printf("%s %s %s", short_time((double)number(current, "age_ms") / 1000.0, age),
               text(current, "method"), text(current, "uri"));
    if (busy > 1)
        printf(" (and %lld more)", busy - 1);
    putchar('\n');
}

static void print_worker(const json_t *worker)
{
    char age[16], memory[16], requests[48];
    printf("%5lld %8lld %-9s %6s %4lld %13s %7s %-8s ", number(worker, "slot"), number(worker, "pid"),
           text(worker, "state"), short_time((double)number(worker, "age_ms") / 1000.0, age),
           number(worker, "generation"), short_requests(worker, requests),
           short_size(json_object_get(worker, "memory"), memory), text(worker, "observe"));
    print_current(worker);
}

static void print_table(const json_t *status)
{
    const json_t *queue = json_object_get(status, "queue");
    const json_t *workers = json_object_get(status, "workers");
    size_t index;
    json_t *worker, *other;
    printf("pool     %s, %s, master pid %lld\n", text(status, "name"), text(status, "state"),
           number(status, "pid"));
    printf("file     %s, generation %lld\n", text(status, "file"), number(status, "generation"));
    printf("listens  %s, queue %lld of %lld, peak %lld\n", text(status, "listen"), number(queue, "now"),
           number(queue, "limit"), number(queue, "peak"));
    json_array_foreach(json_object_get(status, "listen_besides"), index, other)
    {
        printf("besides  %s, for the pool moves\n", json_string_value(other));
    }
    printf("workers  %zu of %lld wanted, floor %lld, min %lld, max %lld%s\n", json_array_size(workers),
           number(status, "wanted"), number(status, "floor"), number(status, "min"), number(status, "max"),
           json_is_true(json_object_get(status, "saturated")) ? ", saturated" : "");
    if (number(status, "orphans") > 0)
        printf("orphans  %lld workers of a former master, which has died\n", number(status, "orphans"));
    print_work(status);
    print_counters(json_object_get(status, "counters"));
    printf("\n%5s %8s %-9s %6s %4s %13s %7s %-8s %s\n", "SLOT", "PID", "STATE", "AGE", "GEN", "REQUESTS",
           "MEMORY", "OBSERVE", "CURRENT");
    json_array_foreach(workers, index, worker)
    {
        print_worker(worker);
    }
}

/* By way of a text: to a stream it would go a token at a time. */
static void print_json(const json_t *status)
{
    char *text __attribute__((cleanup(memory_free_text))) = memory_must(json_dumps(status, JSON_INDENT(2)));
    puts(text);
}

static int show(json_t *status, bool json)
{
    if (json)
        print_json(status);
    else
        print_table(status);
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
