/* What came of a simulation; see report.h. */
#include "daemon/simulate/report.h"

#include "daemon/base/memory.h"

#include <inttypes.h>
#include <string.h>

static double ms(int64_t us)
{
    return (double)us / 1e3;
}

static double seconds(int64_t us)
{
    return (double)us / 1e6;
}

/* ---- for people ---- */

static void print_scene(const struct report *report, FILE *stream)
{
    const struct settings *settings = report->settings;
    fprintf(stream,
            "workers %" PRId64 " to %" PRId64 ", idle_timeout %g s, ready after %g ms\n"
            "%s%s: %zu requests in %g s, demand %.1f on average, %" PRIu32 " at most\n\n",
            settings->workers_min, settings->workers_max, (double)settings->idle_timeout_ms / 1e3,
            ms(report->start_us), report->seed ? "" : "trace ", report->source, report->trace->count,
            seconds(report->trace->end_us), report->ideal.mean, report->ideal.peak);
}

static int name_width(const struct report *report)
{
    size_t width = strlen("ideal");
    for (size_t i = 0; i < report->count; i++)
        if (strlen(report->outcomes[i].name) > width)
            width = strlen(report->outcomes[i].name);
    return (int)width;
}

void report_print(const struct report *report, FILE *stream)
{
    int width = name_width(report);
    print_scene(report, stream);
    fprintf(stream, "%*s  %9s %9s %9s %9s  %9s\n%*s  %9s %9s %9s %9s  %9s %7s %7s %11s\n", width, "",
            "wait, ms", "", "", "", "worker-", width, "", "p50", "p95", "p99", "max", "seconds", "spawns",
            "largest", "saturated s");
    for (size_t i = 0; i < report->count; i++) {
        const struct run_outcome *o = &report->outcomes[i];
        fprintf(stream, "%-*s  %9.1f %9.1f %9.1f %9.1f  %9.1f %7" PRIu64 " %7" PRIu32 " %11.1f\n", width,
                o->name, ms(o->p50_us), ms(o->p95_us), ms(o->p99_us), ms(o->max_us), seconds(o->worker_us),
                o->spawns, o->largest, seconds(o->saturated_us));
        if (o->unserved)
            fprintf(stream, "%*s  %" PRIu64 " requests were never served\n", width, "", o->unserved);
    }
    fprintf(stream, "%-*s  %9s %9s %9s %9s  %9.1f %7" PRIu64 " %7" PRIu32 "\n", width, "ideal", "", "", "",
            "", report->ideal.mean * seconds(report->trace->end_us), report->ideal.spawns,
            report->ideal.peak);
}

/* ---- for programs ---- */

static json_t *settings_json(const struct settings *settings)
{
    json_t *spare = settings->workers_spare == SETTING_AUTO
                        ? json_string("auto")
                        : json_integer((json_int_t)settings->workers_spare);
    return json_pack("{s:I,s:I,s:I,s:o,s:I,s:I}", "min", (json_int_t)settings->workers_min, "max",
                     (json_int_t)settings->workers_max, "start", (json_int_t)settings->workers_start, "spare",
                     spare, "idle_timeout_ms", (json_int_t)settings->idle_timeout_ms, "max_starting",
                     (json_int_t)settings->max_starting);
}

static json_t *trace_json(const struct report *report)
{
    const struct ideal *ideal = &report->ideal;
    json_t *trace = json_pack("{s:s%,s:f,s:I,s:{s:f,s:I},s:I}", "source", report->source,
                              strlen(report->source), "seconds", seconds(report->trace->end_us), "requests",
                              (json_int_t)report->trace->count, "demand", "mean", ideal->mean, "peak",
                              (json_int_t)ideal->peak, "ideal_spawns", (json_int_t)ideal->spawns);
    if (trace && report->seed)
        json_object_set_new(trace, "seed", json_integer((json_int_t)*report->seed));
    return trace;
}

static json_t *outcome_json(const struct run_outcome *o)
{
    return json_pack("{s:s,s:{s:f,s:f,s:f,s:f},s:f,s:I,s:I,s:f,s:I}", "name", o->name, "wait_ms", "p50",
                     ms(o->p50_us), "p95", ms(o->p95_us), "p99", ms(o->p99_us), "max", ms(o->max_us),
                     "worker_seconds", seconds(o->worker_us), "spawns", (json_int_t)o->spawns, "largest",
                     (json_int_t)o->largest, "saturated_seconds", seconds(o->saturated_us), "unserved",
                     (json_int_t)o->unserved);
}

json_t *report_json(const struct report *report)
{
    json_t *managers = memory_must(json_array());
    for (size_t i = 0; i < report->count; i++)
        json_array_append_new(managers, memory_must(outcome_json(&report->outcomes[i])));
    return memory_must(json_pack(
        "{s:i,s:o,s:o,s:f,s:o}", "v", 1, "workers", memory_must(settings_json(report->settings)), "trace",
        memory_must(trace_json(report)), "start_ms", ms(report->start_us), "managers", managers));
}
