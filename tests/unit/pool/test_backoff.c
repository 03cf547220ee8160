/* The pause between failed starts. */
#include "pool/backoff.h"

#include "pool/assert.h"
#include "pool/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

void assert_failed(const char *expression, const char *file, int line)
{
    print_error("%s:%d: %s\n", file, line, expression);
    abort();
}

static const struct settings settings = {.backoff_initial_ms = 100, .backoff_max_ms = 1000};

static void the_pause_doubles_up_to_the_maximum(void **state)
{
    (void)state;
    static const int64_t pauses_ms[] = {100, 200, 400, 800, 1000, 1000};
    struct backoff backoff;
    int64_t now_ms = 5000;
    backoff_init(&backoff);
    for (int i = 0; i < 6; i++) {
        backoff_failure(&backoff, &settings, now_ms, now_ms);
        assert_int_equal(backoff.failures, i + 1);
        assert_int_equal(backoff.until_ms - now_ms, pauses_ms[i]);
        now_ms = backoff.until_ms;
    }
}

static void an_initial_pause_beyond_the_maximum_is_cut(void **state)
{
    (void)state;
    static const struct settings narrow = {.backoff_initial_ms = 100, .backoff_max_ms = 50};
    struct backoff backoff;
    backoff_init(&backoff);
    backoff_failure(&backoff, &narrow, 0, 0);
    assert_int_equal(backoff.until_ms, 50);
}

static void a_pause_is_never_shortened(void **state)
{
    (void)state;
    struct backoff backoff;
    backoff_init(&backoff);
    for (int i = 0; i < 4; i++)
        backoff_failure(&backoff, &settings, i, i);
    assert_int_equal(backoff.until_ms, 803);
    backoff_hold(&backoff, &settings, 10);
    assert_int_equal(backoff.until_ms, 803);
    assert_int_equal(backoff.failures, 4);
}

static void a_hold_waits_without_a_failure(void **state)
{
    (void)state;
    struct backoff backoff;
    backoff_init(&backoff);
    backoff_hold(&backoff, &settings, 10);
    assert_int_equal(backoff.until_ms, 110);
    assert_int_equal(backoff.failures, 0);
}

static void where_workers_accept_the_pause_is_a_second_at_most(void **state)
{
    (void)state;
    static const struct settings slow = {.backoff_initial_ms = 400, .backoff_max_ms = 30000};
    struct backoff backoff;
    backoff_init(&backoff);
    backoff_failure(&backoff, &slow, 0, 0);
    assert_int_equal(backoff.until_ms, 400);
    backoff_accepted(&backoff);
    backoff_failure(&backoff, &slow, 1000, 1000);
    backoff_failure(&backoff, &slow, 2000, 2000);
    assert_int_equal(backoff.until_ms, 3000);
    assert_int_equal(backoff.failures, 3);
    backoff_reset(&backoff);
    for (int64_t i = 0; i < 3; i++)
        backoff_failure(&backoff, &slow, 4000 + i, 4000 + i);
    assert_int_equal(backoff.until_ms, 4002 + 1600);
}

static void workers_that_fail_together_are_one_failure(void **state)
{
    (void)state;
    struct backoff backoff;
    backoff_init(&backoff);
    for (int i = 0; i < 4; i++)
        backoff_failure(&backoff, &settings, 0, 10 + i);
    assert_int_equal(backoff.failures, 1);
    assert_int_equal(backoff.until_ms, 110);
    backoff_failure(&backoff, &settings, 110, 111);
    assert_int_equal(backoff.failures, 2);
}

static void success_begins_a_new_row(void **state)
{
    (void)state;
    struct backoff backoff;
    backoff_init(&backoff);
    backoff_failure(&backoff, &settings, 0, 0);
    backoff_failure(&backoff, &settings, 1, 1);
    backoff_reset(&backoff);
    backoff_failure(&backoff, &settings, 1000, 1000);
    assert_int_equal(backoff.until_ms, 1100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_pause_doubles_up_to_the_maximum),
        cmocka_unit_test(an_initial_pause_beyond_the_maximum_is_cut),
        cmocka_unit_test(a_pause_is_never_shortened),
        cmocka_unit_test(a_hold_waits_without_a_failure),
        cmocka_unit_test(where_workers_accept_the_pause_is_a_second_at_most),
        cmocka_unit_test(workers_that_fail_together_are_one_failure),
        cmocka_unit_test(success_begins_a_new_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
