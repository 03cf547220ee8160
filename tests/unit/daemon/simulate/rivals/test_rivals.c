/* The rules of other process managers, second by second, as computed by hand. */
#include "tests/unit/daemon/simulate/scene.h"

#include "daemon/simulate/rivals/rival.h"

static struct settings settings;
static struct manager *manager;

static int setup(void **state)
{
    (void)state;
    settings_init(&settings);
    settings.workers_min = 2;
    settings.workers_max = 50;
    return 0;
}

static int teardown(void **state)
{
    if (manager)
        manager->free(manager);
    manager = NULL;
    return clear(state);
}

/* ---- a world that the test moves ---- */

/* Workers accept at once. */
static void begin(const char *spec)
{
    char fault[256];
    manager = rival_new(spec, &settings, fault, sizeof fault);
    assert_non_null(manager);
    assert_string_equal(manager->name, spec);
    for (int i = 0; i < 200; i++)
        arrive(0, 3600000);
    world_init(&world, &trace, 120, 50, 0);
    manager->happened(manager, &world, WORLD_BEGIN, WORLD_NONE);
}

/* So many are idle of all that live; the others are busy. */
static void occupy(uint32_t idle)
{
    world.idle = world.busy = world.starting = 0;
    world.first_idle = world.last_idle = WORLD_NONE;
    for (uint32_t i = 0; i < world.slot_count; i++) {
        struct world_worker *worker = &world.workers[i];
        if (worker->state == WORLD_EMPTY || worker->retired) {
            worker->state = WORLD_EMPTY;
            continue;
        }
        worker->busy_us = world_busy_us(&world, i);
        if (world.idle == idle) {
            worker->state = WORLD_BUSY;
            worker->since_us = world.now_us;
            world.busy++;
            continue;
        }
        worker->state = WORLD_IDLE;
        worker->before = world.last_idle;
        worker->after = WORLD_NONE;
        *(world.last_idle == WORLD_NONE ? &world.first_idle : &world.workers[world.last_idle].after) = i;
        world.last_idle = i;
        world.idle++;
    }
    world.leaving = 0;
    assert_int_equal(world.idle, idle);
}

/* To the time when the manager wants to be called. */
static void ticks(void)
{
    world.now_us = manager->next_us(manager);
    manager->happened(manager, &world, WORLD_TIME, WORLD_NONE);
}

static void arrives_unserved(void)
{
    world.arrived++;
    manager->happened(manager, &world, WORLD_ARRIVED, WORLD_NONE);
}

/* ---- PHP-FPM ---- */

/* 50 workers: 10 to 30 spare ones, 20 at the start. */
static void fpm_dynamic_doubles_what_it_starts_each_second(void **state)
{
    static const uint32_t expected[] = {21, 23, 27, 35, 45, 50, 50};
    (void)state;
    begin("fpm-dynamic");
    assert_int_equal(world_live(&world), 20);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        occupy(0);
        ticks();
        assert_int_equal(world.now_us, (int64_t)(i + 1) * 1000000);
        assert_int_equal(world_live(&world), expected[i]); /* the fifth time 10 are missing, not 16 */
    }
}

static void fpm_dynamic_begins_anew_when_enough_are_spare(void **state)
{
    (void)state;
    begin("fpm-dynamic");
    occupy(0), ticks();
    occupy(0), ticks();
    assert_int_equal(world_live(&world), 23);
    occupy(10), ticks();
    occupy(9), ticks();
    assert_int_equal(world_live(&world), 24);
}

static void fpm_dynamic_retires_one_a_second(void **state)
{
    (void)state;
    begin("fpm-dynamic:min_spare_servers=1,max_spare_servers=3,start_servers=6");
    assert_int_equal(world_live(&world), 6);
    occupy(6), ticks();
    assert_int_equal(world_staying(&world), 5);
    occupy(4), ticks();
    assert_int_equal(world_staying(&world), 4);
    occupy(3), ticks();
    assert_int_equal(world_staying(&world), 4);
}

static void fpm_ondemand_forks_for_who_waits(void **state)
{
    (void)state;
    begin("fpm-ondemand");
    assert_int_equal(world_live(&world), 0);
    arrives_unserved();
    assert_int_equal(world_live(&world), 1);
    arrives_unserved(), arrives_unserved(); /* while it forks */
    assert_int_equal(world_live(&world), 1);
    ticks();
    assert_int_equal(world.now_us, 1000);
    assert_int_equal(world_live(&world), 2);
    world.now_us = 5000;
    arrives_unserved();
    assert_int_equal(world_live(&world), 3);
}

static void fpm_ondemand_retires_who_was_idle_for_long_enough(void **state)
{
    (void)state;
    begin("fpm-ondemand:process_idle_timeout=2");
    arrives_unserved();
    world.now_us = 5000;
    arrives_unserved();
    occupy(2);
    world.workers[0].since_us = world.workers[1].since_us = 500000;
    world.taken = world.arrived;
    ticks(), ticks();
    assert_int_equal(world_staying(&world), 2); /* for 1.5 s */
    ticks();
    assert_int_equal(world_staying(&world), 1);
    ticks();
    assert_int_equal(world_staying(&world), 0);
}

/* ---- uWSGI ---- */

static void uwsgi_spare_waits_for_three_looks(void **state)
{
    static const uint32_t expected[] = {2, 2, 5, 5, 5, 8};
    (void)state;
    begin("uwsgi-spare");
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        occupy(0), ticks();
        assert_int_equal(world_live(&world), expected[i]);
    }
}

static void uwsgi_spare_retires_one_after_three_idle_looks(void **state)
{
    (void)state;
    begin("uwsgi-spare:cheaper-initial=5,cheaper=4");
    occupy(2), ticks();
    occupy(1), ticks(); /* neither counts nor ends the count */
    occupy(2), ticks();
    assert_int_equal(world_staying(&world), 5);
    occupy(5), ticks();
    assert_int_equal(world_staying(&world), 4);
    for (int i = 0; i < 5; i++)
        occupy(4), ticks();
    assert_int_equal(world_staying(&world), 4); /* `cheaper` */
}

static void busy_for(uint32_t idle, int seconds)
{
    occupy(idle);
    for (int i = 0; i < seconds; i++)
        ticks();
}

static void uwsgi_busyness_adds_when_workers_were_busy_for_half_of_the_window(void **state)
{
    (void)state;
    begin("uwsgi-busyness");
    world.taken = world.arrived = 0;
    busy_for(1, 10); /* one of two: 50 percent is not more than the limit */
    assert_int_equal(world_live(&world), 2);
    busy_for(0, 9);
    assert_int_equal(world_live(&world), 2);
    ticks();
    assert_int_equal(world_live(&world), 5);
}

static void uwsgi_busyness_retires_one_after_idle_windows(void **state)
{
    (void)state;
    begin("uwsgi-busyness:cheaper-initial=6,cheaper-overload=2,cheaper-busyness-multiplier=3");
    busy_for(6, 5);
    assert_int_equal(world_staying(&world), 6);
    ticks();
    assert_int_equal(world_staying(&world), 5);
}

static void uwsgi_busyness_starts_emergency_workers_for_a_queue(void **state)
{
    (void)state;
    begin("uwsgi-busyness");
    world.arrived = 33;
    busy_for(0, 1);
    assert_int_equal(world_live(&world), 2);
    world.arrived = 34;
    ticks();
    assert_int_equal(world_live(&world), 3);
}

/* ---- by name ---- */

static void assert_refused(const char *spec, const char *part)
{
    char fault[256];
    assert_null(rival_new(spec, &settings, fault, sizeof fault));
    if (!strstr(fault, part))
        fail_msg("\"%s\" has no \"%s\"", fault, part);
}

static void names_and_parameters_are_checked(void **state)
{
    (void)state;
    assert_refused("fpm", "no rival \"fpm\"");
    assert_refused("fpm-dynamics", "no rival");
    assert_refused("fpm-dynamic:spare=1", "no parameter \"spare\"");
    assert_refused("fpm-dynamic:min_spare_servers", "NAME=NUMBER");
    assert_refused("fpm-dynamic:min_spare_servers=x", "NAME=NUMBER");
    assert_refused("fpm-dynamic:min_spare_servers=1x", "NAME=NUMBER");
    assert_refused("fpm-dynamic:min_spare_servers=86401", "NAME=NUMBER");
}

static void a_number_of_spare_workers_is_the_rivals_too(void **state)
{
    int64_t values[RIVAL_PARAMETERS_MAX];
    (void)state;
    settings.workers_spare = 4;
    rival_fpm_dynamic.map(&settings, values);
    assert_int_equal(values[0], 8);
    assert_int_equal(values[1], 4);
    assert_int_equal(values[2], 12);
    settings.workers_min = 0;
    settings.workers_start = 7;
    rival_uwsgi_spare.map(&settings, values);
    assert_int_equal(values[0], 1);
    assert_int_equal(values[1], 7);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fpm_dynamic_doubles_what_it_starts_each_second),
        TEST(fpm_dynamic_begins_anew_when_enough_are_spare),
        TEST(fpm_dynamic_retires_one_a_second),
        TEST(fpm_ondemand_forks_for_who_waits),
        TEST(fpm_ondemand_retires_who_was_idle_for_long_enough),
        TEST(uwsgi_spare_waits_for_three_looks),
        TEST(uwsgi_spare_retires_one_after_three_idle_looks),
        TEST(uwsgi_busyness_adds_when_workers_were_busy_for_half_of_the_window),
        TEST(uwsgi_busyness_retires_one_after_idle_windows),
        TEST(uwsgi_busyness_starts_emergency_workers_for_a_queue),
        TEST(names_and_parameters_are_checked),
        TEST(a_number_of_spare_workers_is_the_rivals_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
