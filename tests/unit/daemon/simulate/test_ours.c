/* The policy core in the model: when it looks, and what it does about what it sees. */
#include "tests/unit/daemon/simulate/scene.h"

#include "daemon/simulate/ours.h"
#include "daemon/simulate/run.h"

static struct settings settings;
static struct run_outcome outcome;

static int setup(void **state)
{
    (void)state;
    settings_init(&settings);
    settings.workers_min = 1;
    settings.workers_max = 50;
    settings.max_starting = 50;
    return 0;
}

static void run(int64_t start_ms, int64_t end_ms)
{
    struct manager *manager = ours_new(&settings);
    if (end_ms * MS > trace.end_us)
        trace.end_us = end_ms * MS;
    run_one(&trace, &settings, start_ms * MS, manager, &outcome);
    manager->free(manager);
}

/* They ask for 50 within tens of milliseconds, so nobody waits for a worker much longer than it takes to
 * start. */
static void a_step_from_1_to_50_clients_is_followed_at_once(void **state)
{
    (void)state;
    for (int64_t at_ms = 0; at_ms < 10000; at_ms += 500)
        arrive(at_ms, 500);
    for (int i = 0; i < 49; i++)
        arrive(10000, 500);
    run(5, 12000);
    assert_true(outcome.max_us <= 50 * MS);
    assert_true(outcome.largest == 50);
    assert_int_equal(outcome.unserved, 0);
}

static void without_workers_a_connection_makes_a_look(void **state)
{
    (void)state;
    settings.workers_min = 0;
    settings.workers_spare = 0;
    arrive(1000, 10);
    run(20, 2000);
    assert_int_equal(outcome.spawns, 1);
    assert_int_equal(outcome.max_us, 20 * MS);
}

static void it_goes_idle_timeout_after_its_last_use(void **state)
{
    (void)state;
    settings.workers_min = 0;
    settings.workers_spare = 0;
    settings.idle_timeout_ms = 3000;
    arrive(1000, 10), arrive(20000, 10);
    run(0, 20000);
    assert_int_equal(outcome.spawns, 2);
    /* One look each second as long as there is work: the last that saw some comes within it. */
    assert_true(outcome.worker_us >= 3000 * MS && outcome.worker_us <= 5100 * MS);
}

static void a_static_pool_stays_as_it_is(void **state)
{
    (void)state;
    settings.workers_min = settings.workers_max = 2;
    for (int i = 0; i < 10; i++)
        arrive(100, 10);
    run(0, 1000);
    assert_int_equal(outcome.spawns, 2);
    assert_int_equal(outcome.p50_us, 20 * MS);
    assert_int_equal(outcome.max_us, 40 * MS);
    assert_int_equal(outcome.worker_us, 2000 * MS);
    assert_int_equal(outcome.saturated_us, 40 * MS);
}

static void limits_on_workers_are_left_out(void **state)
{
    (void)state;
    settings.start_timeout_ms = settings.timeout_ms = settings.max_lifetime_ms = 1;
    settings.graceful_timeout_ms = 0;
    arrive(0, 60000), arrive(0, 60000), arrive(0, 1);
    run(5000, 70000);
    assert_int_equal(outcome.unserved, 0);
    assert_true(outcome.max_us <= 5100 * MS);
}

static void the_same_trace_gives_the_same_figures(void **state)
{
    (void)state;
    for (int64_t i = 0; i < 2000; i++)
        arrive(i * 7, (i * 7919) % 200);
    run(50, 20000);
    struct run_outcome first = outcome;
    run(50, 20000);
    assert_memory_equal(&first, &outcome, sizeof first);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, clear)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_step_from_1_to_50_clients_is_followed_at_once),
        TEST(without_workers_a_connection_makes_a_look),
        TEST(it_goes_idle_timeout_after_its_last_use),
        TEST(a_static_pool_stays_as_it_is),
        TEST(limits_on_workers_are_left_out),
        TEST(the_same_trace_gives_the_same_figures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
