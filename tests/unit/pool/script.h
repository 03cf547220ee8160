/*
 * A pool under test, as a script: what happens (happens, passes), what has to be done (assert_actions), who
 * is there (assert_states). Included by the tests of the policy core; each has a pool of its own.
 */
#ifndef FCGIPOOL_TESTS_UNIT_POOL_SCRIPT_H
#define FCGIPOOL_TESTS_UNIT_POOL_SCRIPT_H

#include "pool/policy.h"

#include "pool/assert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SLOTS 12

void assert_failed(const char *expression, const char *file, int line)
{
    print_error("%s:%d: %s\n", file, line, expression);
    abort();
}

static struct settings settings;
static struct policy policy;
static struct slot slots[SLOTS];
static struct action action_items[2 * SLOTS + 8];
static struct actions actions;
static int64_t now_ms;

/* Events about a slot speak of the worker that is in it now. */
static void happens(enum event_type type, uint32_t slot, int64_t number)
{
    struct event event = {
        .type = type,
        .now_ms = now_ms,
        .slot = slot,
        .incarnation = policy.slots[slot].incarnation,
        .number = number,
    };
    policy_step(&policy, &event, &actions);
    assert_null(policy_check(&policy, now_ms));
}

static void passes(int64_t ms)
{
    now_ms += ms;
    happens(EVENT_TIME, 0, 0);
}

/* The actions of the last step, as "spawn 0, spawn 1"; pool states as "=running", what becomes of a
 * generation as "proved", "done", "back". */
static void assert_actions(const char *expected)
{
    static const char *const names[] = {
#define ACTION(id, name) name,
#include "pool/action.def"
#undef ACTION
    };
    static const char *const news[] = {"proved", "done", "back"};
    char text[1024] = "";
    for (uint32_t i = 0; i < actions.count; i++) {
        const struct action *action = &actions.items[i];
        size_t length = strlen(text);
        const char *separator = i ? ", " : "";
        if (action->type == ACTION_STATE)
            snprintf(text + length, sizeof text - length, "%s=%s", separator,
                     pool_state_name(action->number));
        else if (action->type == ACTION_SATURATED)
            snprintf(text + length, sizeof text - length, "%ssaturated %u", separator, action->number);
        else if (action->type == ACTION_ROLLOUT)
            snprintf(text + length, sizeof text - length, "%s%s", separator, news[action->number]);
        else if (action->type == ACTION_WANT)
            snprintf(text + length, sizeof text - length, "%s%u wanted", separator, action->number);
        else if (action->type == ACTION_REFUSE)
            snprintf(text + length, sizeof text - length, "%srefuse", separator);
        else
            snprintf(text + length, sizeof text - length, "%s%s %u", separator, names[action->type],
                     action->slot);
    }
    assert_string_equal(text, expected);
}

static void assert_states(int starting, int serving, int leaving)
{
    int empty = (int)policy_count(&policy, SLOT_EMPTY);
    assert_int_equal(policy_count(&policy, SLOT_STARTING), starting);
    assert_int_equal(policy_count(&policy, SLOT_SERVING), serving);
    assert_int_equal(SLOTS - empty - starting - serving, leaving);
}

static int setup(void **state)
{
    (void)state;
    settings_init(&settings);
    settings.workers_min = settings.workers_max = 3;
    actions = (struct actions){.items = action_items, .capacity = 2 * SLOTS + 8};
    now_ms = 1000000;
    policy_init(&policy, &settings, slots, SLOTS, 1);
    return 0;
}

/* Three workers that serve and have proved themselves. */
static void run(void)
{
    happens(EVENT_START, 0, 0);
    for (uint32_t i = 0; i < 3; i++)
        happens(EVENT_READY, i, 0);
    passes(POLICY_PROBATION_MS);
    assert_states(0, 3, 0);
    assert_int_equal(policy_deadline(&policy), NEVER_MS);
}

#endif
