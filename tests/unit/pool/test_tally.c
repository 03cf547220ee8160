/* Rates and times of service, from samples. */
#include "pool/assert.h"
#include "pool/tally.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct latency nothing;

void assert_failed(const char *expression, const char *file, int line)
{
    mock_assert(0, expression, file, line);
    abort();
}

static void test_nothing_is_no_rate(void **state)
{
    struct tally tally;
    (void)state;
    tally_init(&tally, 1000);
    assert_int_equal(tally_rate_milli(&tally, 0, 5000), 0);
    assert_int_equal(tally_rate_milli(&tally, 100, 5000), 0);
}

static void test_rate_is_of_the_last_ten_seconds(void **state)
{
    struct tally tally;
    (void)state;
    tally_init(&tally, 0);
    for (int second = 0; second <= 60; second++)
        tally_add(&tally, second < 30 ? 0 : (uint64_t)(second - 30) * 25, &nothing, second * 1000);
    assert_int_equal(tally_rate_milli(&tally, 750, 60000), 25000);
    assert_int_equal(tally_rate_milli(&tally, 750, 65000), 125 * 1000 / 10);
    assert_int_equal(tally_rate_milli(&tally, 750, 71000), 0); /* nobody was at work any more */
}

static void test_what_has_just_begun_is_not_blown_up(void **state)
{
    struct tally tally;
    (void)state;
    tally_init(&tally, 0);
    tally_add(&tally, 0, &nothing, 1000);
    assert_int_equal(tally_rate_milli(&tally, 5, 1010), 5000);
    assert_int_equal(tally_rate_milli(&tally, 5, 3000), 2500);
}

/* A worker may claim what it wants. */
static void test_totals_that_go_back_are_no_rate(void **state)
{
    struct tally tally;
    (void)state;
    tally_init(&tally, 0);
    tally_add(&tally, 1000, &nothing, 1000);
    assert_int_equal(tally_rate_milli(&tally, 10, 2000), 0);
}

static void test_times_of_service_are_recent(void **state)
{
    struct tally tally;
    struct latency total = {0}, recent;
    (void)state;
    tally_init(&tally, 0);
    total.buckets[10] = 100;
    tally_add(&tally, 100, &total, 1000);
    tally_recent(&tally, &total, &recent);
    assert_int_equal(latency_count(&recent), 100);

    tally_add(&tally, 100, &total, TALLY_SERVICE_MS); /* the second span begins */
    total.buckets[200] = 50;
    tally_recent(&tally, &total, &recent);
    assert_int_equal(latency_count(&recent), 150);

    tally_add(&tally, 150, &total, 2 * TALLY_SERVICE_MS); /* the third: the first is forgotten */
    tally_recent(&tally, &total, &recent);
    assert_int_equal(latency_count(&recent), 50);
    assert_int_equal(recent.buckets[200], 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_no_rate),
        cmocka_unit_test(test_rate_is_of_the_last_ten_seconds),
        cmocka_unit_test(test_what_has_just_begun_is_not_blown_up),
        cmocka_unit_test(test_totals_that_go_back_are_no_rate),
        cmocka_unit_test(test_times_of_service_are_recent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
