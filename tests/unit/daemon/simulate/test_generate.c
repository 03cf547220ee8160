/* Generated traces: what the seed decides, and what it does not. */
#include "tests/unit/daemon/simulate/scene.h"

#include "daemon/simulate/draw.h"
#include "daemon/simulate/generate.h"

static struct generate generate = {.clients = 20, .service_us = 100 * MS, .seconds = 600, .seed = 7};

static void make(const char *kind, struct trace *ret_trace)
{
    assert_non_null(generate_find(kind));
    generate_make(generate_find(kind), &generate, ret_trace);
}

/* Demand from `from_s` to `to_s`, in workers. */
static double demand(const struct trace *of, double from_s, double to_s)
{
    double busy_us = 0;
    for (size_t i = 0; i < of->count; i++)
        if ((double)of->items[i].at_us >= from_s * 1e6 && (double)of->items[i].at_us < to_s * 1e6)
            busy_us += (double)of->items[i].service_us;
    return busy_us / 1e6 / (to_s - from_s);
}

static void assert_about(double number, double expected, double share)
{
    if (number < expected * (1 - share) || number > expected * (1 + share))
        fail_msg("%g is not about %g", number, expected);
}

static void all_are_in_order_and_in_time(void **state)
{
    (void)state;
    for (const struct generate_kind *kind = generate_kinds; kind->name; kind++) {
        make(kind->name, &trace);
        assert_true(trace.count > 1000);
        assert_int_equal(trace.end_us, 600000000);
        for (size_t i = 0; i < trace.count; i++) {
            assert_true(trace.items[i].at_us >= (i ? trace.items[i - 1].at_us : 0));
            assert_true(trace.items[i].at_us <= trace.end_us && trace.items[i].service_us > 0);
        }
        trace_fini(&trace);
    }
}

static void the_seed_decides(void **state)
{
    struct trace same, other;
    (void)state;
    for (const struct generate_kind *kind = generate_kinds; kind->name; kind++) {
        make(kind->name, &trace);
        make(kind->name, &same);
        generate.seed++;
        make(kind->name, &other);
        generate.seed--;
        assert_int_equal(trace.count, same.count);
        assert_memory_equal(trace.items, same.items, trace.count * sizeof *trace.items);
        assert_true(trace.count != other.count ||
                    memcmp(trace.items, other.items, trace.count * sizeof *trace.items) != 0);
        trace_fini(&trace);
        trace_fini(&same);
        trace_fini(&other);
    }
}

static void poisson_has_its_rate(void **state)
{
    (void)state;
    make("poisson", &trace);
    assert_about((double)trace.count / 600, 200, 0.02);
    assert_about(demand(&trace, 0, 600), 20, 0.02);
}

static void heavy_tailed_has_its_mean_and_a_long_tail(void **state)
{
    int64_t longest_us = 0;
    (void)state;
    make("heavy-tailed", &trace);
    assert_about((double)trace.count / 600, 200, 0.02);
    assert_about(demand(&trace, 0, 600), 20, 0.05);
    for (size_t i = 0; i < trace.count; i++)
        if (trace.items[i].service_us > longest_us)
            longest_us = trace.items[i].service_us;
    assert_true(longest_us > 50 * generate.service_us);
}

static void steps_go_up_and_down(void **state)
{
    (void)state;
    make("steps", &trace);
    assert_about(demand(&trace, 1, 29), 2, 0.2);
    assert_true(demand(&trace, 31, 59) > 9 && demand(&trace, 31, 59) < 21);
    assert_about(demand(&trace, 61, 89), 2, 0.2);
}

static void square_goes_up_and_down(void **state)
{
    (void)state;
    make("square", &trace);
    assert_about(demand(&trace, 1, 59), 2, 0.2);
    assert_about(demand(&trace, 61, 119), 20, 0.05);
    assert_about(demand(&trace, 181, 239), 20, 0.05);
}

static void diurnal_is_low_at_both_ends(void **state)
{
    (void)state;
    make("diurnal", &trace);
    assert_about(demand(&trace, 0, 30), 2.1, 0.4);
    assert_about(demand(&trace, 270, 330), 20, 0.1);
    assert_about(demand(&trace, 570, 600), 2.1, 0.4);
    assert_about(demand(&trace, 0, 600), 11, 0.05);
}

static void slow_start_has_two_rates(void **state)
{
    (void)state;
    make("slow-start", &trace);
    assert_about(demand(&trace, 0, 60), 6, 0.1);
    assert_about(demand(&trace, 60, 120), 20, 0.1);
    assert_int_equal(generate_find("slow-start")->start_ms, 3000);
}

static void bursts_come_on_top(void **state)
{
    size_t most = 0;
    (void)state;
    make("bursts", &trace);
    for (size_t i = 0, first = 0; i < trace.count; i++) {
        while (trace.items[first].at_us + 200 * MS < trace.items[i].at_us)
            first++;
        if (i - first + 1 > most)
            most = i - first + 1;
    }
    assert_true(most >= 20); /* 8 of them at the rate below the bursts */
    assert_about(demand(&trace, 0, 600), 4.1, 0.1);
}

static void draws_have_their_means(void **state)
{
    uint64_t chance = 3;
    double uniform = 0, exponential = 0, heavy = 0;
    (void)state;
    for (int i = 0; i < 100000; i++) {
        double number = draw_uniform(&chance, 2, 4);
        assert_true(number >= 2 && number < 4);
        uniform += number / 100000;
        exponential += draw_exponential(&chance, 3) / 100000;
        heavy += draw_heavy(&chance, 3) / 100000;
    }
    assert_about(uniform, 3, 0.01);
    assert_about(exponential, 3, 0.02);
    assert_about(heavy, 3, 0.05);
}

static void there_are_no_other_kinds(void **state)
{
    (void)state;
    assert_null(generate_find("nonsense"));
}

#define TEST(name) cmocka_unit_test_teardown(name, clear)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_are_in_order_and_in_time), TEST(the_seed_decides),
        TEST(poisson_has_its_rate),         TEST(heavy_tailed_has_its_mean_and_a_long_tail),
        TEST(steps_go_up_and_down),         TEST(square_goes_up_and_down),
        TEST(diurnal_is_low_at_both_ends),  TEST(slow_start_has_two_rates),
        TEST(bursts_come_on_top),           TEST(draws_have_their_means),
        TEST(there_are_no_other_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
