/* Histograms of times of service. */
#include "pool/latency.h"

#include "pool/assert.h"

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

static void measure(struct latency *latency, uint64_t microseconds, uint64_t times)
{
    latency->buckets[page_bucket(microseconds)] += times;
}

static void nothing_measured_is_zero(void **state)
{
    (void)state;
    struct latency latency = {0};
    assert_int_equal(latency_count(&latency), 0);
    assert_int_equal(latency_percentile(&latency, 500), 0);
}

static void the_mean_weighs_by_number(void **state)
{
    (void)state;
    struct latency latency = {0};
    assert_int_equal(latency_mean(&latency), 0);
    measure(&latency, 2, 3);
    measure(&latency, 10, 1);
    assert_int_equal(latency_mean(&latency), 4);
}

static void short_times_are_exact(void **state)
{
    (void)state;
    for (uint64_t time = 0; time < 16; time++) {
        struct latency latency = {0};
        measure(&latency, time, 1);
        assert_int_equal(latency_percentile(&latency, 500), time);
    }
}

/* Over all octaves, at the borders of the buckets and between them. */
static void long_times_are_near(void **state)
{
    (void)state;
    for (uint64_t time = 16; time < 4000000000U; time += time / 37 + 1) {
        struct latency latency = {0};
        measure(&latency, time, 1);
        uint64_t said = latency_percentile(&latency, 990);
        uint64_t off = said > time ? said - time : time - said;
        assert_in_range(off * 1000, 0, time * 63);
        assert_int_equal(page_bucket(said), page_bucket(time));
    }
}

static void the_last_bucket_tells_its_lower_bound(void **state)
{
    (void)state;
    struct latency latency = {0};
    measure(&latency, UINT64_MAX, 1);
    assert_int_equal(latency_percentile(&latency, 1000), UINT64_C(15) << 28);
    assert_int_equal(page_bucket(UINT64_C(15) << 28), PAGE_BUCKETS - 1);
    assert_int_equal(page_bucket((UINT64_C(15) << 28) - 1), PAGE_BUCKETS - 2);
}

static void percentiles_count_from_below(void **state)
{
    (void)state;
    struct latency latency = {0};
    for (uint64_t time = 1; time <= 10; time++)
        measure(&latency, time, 100);
    assert_int_equal(latency_count(&latency), 1000);
    assert_int_equal(latency_percentile(&latency, 0), 1);
    assert_int_equal(latency_percentile(&latency, 100), 1);
    assert_int_equal(latency_percentile(&latency, 101), 2);
    assert_int_equal(latency_percentile(&latency, 500), 5);
    assert_int_equal(latency_percentile(&latency, 900), 9);
    assert_int_equal(latency_percentile(&latency, 990), 10);
    assert_int_equal(latency_percentile(&latency, 1000), 10);
}

static void one_slow_request_of_three_is_the_99th(void **state)
{
    (void)state;
    struct latency latency = {0};
    measure(&latency, 2, 2);
    measure(&latency, 9, 1);
    assert_int_equal(latency_percentile(&latency, 500), 2);
    assert_int_equal(latency_percentile(&latency, 990), 9);
}

static void what_was_added_can_be_taken_away(void **state)
{
    (void)state;
    struct latency before = {0}, now = {0}, more = {0};
    measure(&before, 3, 5);
    measure(&more, 3, 1);
    measure(&more, 5000, 2);
    latency_add(&now, &before);
    latency_add(&now, &more);
    assert_int_equal(latency_count(&now), 8);
    latency_subtract(&now, &before);
    assert_memory_equal(&now, &more, sizeof now);
}

static void counts_neither_overflow_nor_go_below_zero(void **state)
{
    (void)state;
    struct latency most = {0}, some = {0};
    measure(&most, 1, UINT64_MAX - 1);
    measure(&some, 1, 7);
    measure(&some, 4, 7);
    latency_add(&most, &some);
    assert_int_equal(most.buckets[1], UINT64_MAX);
    assert_int_equal(latency_count(&most), UINT64_MAX);
    assert_int_equal(latency_percentile(&most, 1000), 1);
    latency_subtract(&some, &most);
    assert_int_equal(latency_count(&some), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_measured_is_zero),
        cmocka_unit_test(the_mean_weighs_by_number),
        cmocka_unit_test(short_times_are_exact),
        cmocka_unit_test(long_times_are_near),
        cmocka_unit_test(the_last_bucket_tells_its_lower_bound),
        cmocka_unit_test(percentiles_count_from_below),
        cmocka_unit_test(one_slow_request_of_three_is_the_99th),
        cmocka_unit_test(what_was_added_can_be_taken_away),
        cmocka_unit_test(counts_neither_overflow_nor_go_below_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
