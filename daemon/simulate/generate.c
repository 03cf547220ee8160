/* Traces by rule and seed; see generate.h. */
#include "daemon/simulate/generate.h"

#include "daemon/simulate/draw.h"
#include "pool/chance.h"

#include <math.h>
#include <string.h>

#define SECOND 1e6 /* in microseconds, as all times here */

/* Clients who begin together do so within such a time. */
#define TOGETHER 100e3

static double end_of(const struct generate *generate)
{
    return (double)generate->seconds * SECOND;
}

/* `seconds`, or the end if that is sooner. */
static double moment(const struct generate *generate, int64_t seconds)
{
    return fmin((double)seconds * SECOND, end_of(generate));
}

static int64_t low_clients(const struct generate *generate)
{
    int64_t low = llround(generate->clients / 10);
    return low > 1 ? low : 1;
}

static double service_of(const struct generate *generate)
{
    return (double)generate->service_us;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static void add(struct trace *trace, double at, double service)
{
    trace_add(trace, (int64_t)at, (int64_t)larger(service, 1));
}

/* ---- what traces are made of ---- */

/* Clients who are always busy, if none has to wait: each sends its next request when the one before it has
 * been served. */
static void busy_clients(const struct generate *generate, int64_t clients, double from, double until,
                         uint64_t *chance, struct trace *trace)
{
    for (int64_t i = 0; i < clients; i++) {
        double at = from + draw_uniform(chance, 0, TOGETHER);
        while (at < until) {
            double service = draw_uniform(chance, 0.5, 1.5) * service_of(generate);
            add(trace, at, service);
            at += service;
        }
    }
}

/* Many clients who do not know of each other; `share` of the height of the demand. */
static void strangers(const struct generate *generate, double share, double from, double until,
                      double (*draw_service)(uint64_t *, double), uint64_t *chance, struct trace *trace)
{
    double gap = service_of(generate) / (share * generate->clients);
    double at = from;
    while ((at += draw_exponential(chance, gap)) < until)
        add(trace, at, draw_service(chance, service_of(generate)));
}

/* ---- kinds ---- */

/* Every other 30 s between half and all of the clients, else a tenth. */
static void steps(const struct generate *generate, uint64_t *chance, struct trace *trace)
{
    int64_t low = low_clients(generate);
    busy_clients(generate, low, 0, end_of(generate), chance, trace);
    for (int64_t from_s = 30; from_s < generate->seconds; from_s += 60) {
        int64_t high = llround(draw_uniform(chance, 0.5, 1) * generate->clients);
        busy_clients(generate, high - low, (double)from_s * SECOND, moment(generate, from_s + 30), chance,
                     trace);
    }
}

static void poisson(const struct generate *generate, uint64_t *chance, struct trace *trace)
{
    strangers(generate, 1, 0, end_of(generate), draw_exponential, chance, trace);
}

/* A fifth of the demand all the time, and every 15 s on average as many requests within 200 ms as half or all
 * of the clients would send. */
static void bursts(const struct generate *generate, uint64_t *chance, struct trace *trace)
{
    double end = end_of(generate), at = 0;
    strangers(generate, 0.2, 0, end, draw_exponential, chance, trace);
    while ((at += draw_exponential(chance, 15 * SECOND)) < end) {
        int64_t count = llround(draw_uniform(chance, 0.5, 1) * generate->clients);
        for (int64_t i = 0; i < count; i++) {
            double service = draw_exponential(chance, service_of(generate));
            add(trace, fmin(at + draw_uniform(chance, 0, 200e3), end), service);
        }
    }
}

/* One wave from a tenth of the demand to all of it and back: a day, made short. */
static void diurnal(const struct generate *generate, uint64_t *chance, struct trace *trace)
{
    double end = end_of(generate), gap = service_of(generate) / generate->clients, at = 0;
    while ((at += draw_exponential(chance, gap)) < end) {
        double share = 0.55 - 0.45 * cos(2 * M_PI * at / end);
        double service = draw_exponential(chance, service_of(generate));
        if (draw_uniform(chance, 0, 1) < share)
            add(trace, at, service);
    }
}

static void heavy_tailed(const struct generate *generate, uint64_t *chance, struct trace *trace)
{
    strangers(generate, 1, 0, end_of(generate), draw_heavy, chance, trace);
}

/* A minute of three tenths of the demand, a minute of all of it. */
static void slow_start(const struct generate *generate, uint64_t *chance, struct trace *trace)
{
    for (int64_t from_s = 0; from_s < generate->seconds; from_s += 60)
        strangers(generate, from_s % 120 ? 1 : 0.3, (double)from_s * SECOND, moment(generate, from_s + 60),
                  draw_exponential, chance, trace);
}

/* A minute of a tenth of the clients, a minute of all of them. */
static void square(const struct generate *generate, uint64_t *chance, struct trace *trace)
{
    int64_t low = low_clients(generate), high = llround(generate->clients);
    busy_clients(generate, low, 0, end_of(generate), chance, trace);
    for (int64_t from_s = 60; from_s < generate->seconds; from_s += 120)
        busy_clients(generate, high - low, (double)from_s * SECOND, moment(generate, from_s + 60), chance,
                     trace);
}

const struct generate_kind generate_kinds[] = {
    {"steps", "clients that are always busy: a tenth of them, every other 30 s half or more", 600, 100,
     steps},
    {"poisson", "random arrivals at one rate", 600, 100, poisson},
    {"bursts", "random arrivals, and every 15 s or so many requests within 200 ms", 600, 100, bursts},
    {"diurnal", "random arrivals at a rate that rises from a tenth and falls again", 3600, 100, diurnal},
    {"heavy-tailed", "random arrivals, few of which take most of the time", 600, 100, heavy_tailed},
    {"slow-start", "two rates in turn, and workers that take 3 s to start", 600, 3000, slow_start},
    {"square", "an hour of a tenth and of all of the clients in turn, a minute each", 3600, 100, square},
    {NULL, NULL, 0, 0, NULL},
};

const struct generate_kind *generate_find(const char *name)
{
    for (const struct generate_kind *kind = generate_kinds; kind->name; kind++)
        if (strcmp(name, kind->name) == 0)
            return kind;
    return NULL;
}

void generate_make(const struct generate_kind *kind, const struct generate *generate, struct trace *trace)
{
    uint64_t chance = generate->seed;
    *trace = (struct trace){0};
    kind->make(generate, &chance, trace);
    trace_sort(trace);
    trace->end_us = generate->seconds * 1000000;
}
