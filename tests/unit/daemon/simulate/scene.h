/*
 * A virtual world under test: a trace by hand, and a manager that has a number of workers and does nothing
 * else but what a test tells it. Included by the tests of the model.
 */
#ifndef FCGIPOOL_TESTS_UNIT_DAEMON_SIMULATE_SCENE_H
#define FCGIPOOL_TESTS_UNIT_DAEMON_SIMULATE_SCENE_H

#include "daemon/simulate/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS 1000

static struct trace trace;
static struct world world;

static inline void arrive(int64_t at_ms, int64_t service_ms)
{
    trace_add(&trace, at_ms * MS, service_ms * MS);
    trace.end_us = at_ms * MS;
}

static int clear(void **state)
{
    (void)state;
    world_fini(&world);
    trace_fini(&trace);
    world = (struct world){0};
    return 0;
}

#endif
