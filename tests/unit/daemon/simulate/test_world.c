/* The model, against queues that were computed by hand. */
#include "tests/unit/daemon/simulate/scene.h"

/* ---- a manager that does what the test says ---- */

static uint32_t workers;            /* from the begin */
static int64_t spawn_us, retire_us; /* one more, and the one in slot 0 less, at these times */
static unsigned events[WORLD_TIME + 1];

static void happened(struct manager *manager, struct world *of, enum world_event event, uint32_t slot)
{
    (void)manager, (void)slot;
    events[event]++;
    if (event == WORLD_BEGIN)
        for (uint32_t i = 0; i < workers; i++)
            world_spawn(of, i);
    if (event != WORLD_TIME)
        return;
    if (spawn_us <= of->now_us) {
        spawn_us = AGENDA_NEVER;
        world_spawn(of, world_free_slot(of));
    }
    if (retire_us <= of->now_us) {
        retire_us = AGENDA_NEVER;
        world_retire(of, 0);
    }
}

static int64_t next_us(const struct manager *manager)
{
    (void)manager;
    return spawn_us < retire_us ? spawn_us : retire_us;
}

static void run(uint32_t count, int64_t start_ms)
{
    struct manager manager = {.name = "test", .happened = happened, .next_us = next_us};
    workers = count;
    memset(events, 0, sizeof events);
    world_init(&world, &trace, 8, 4, start_ms * MS);
    world_run(&world, &manager);
}

static int setup(void **state)
{
    (void)state;
    spawn_us = retire_us = AGENDA_NEVER;
    return 0;
}

static void assert_waits(size_t count, const int64_t *expected_ms)
{
    assert_int_equal(world.trace->count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(world.waits_us[i], expected_ms[i] < 0 ? -1 : expected_ms[i] * MS);
}

#define ASSERT_WAITS(...)                                                                                    \
    assert_waits(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), (int64_t[]){__VA_ARGS__})

/* ---- the queue ---- */

static void one_worker_serves_one_after_the_other(void **state)
{
    (void)state;
    arrive(0, 10), arrive(0, 10), arrive(0, 10);
    run(1, 0);
    ASSERT_WAITS(0, 10, 20);
    assert_int_equal(world.worker_us, 30 * MS);
    assert_int_equal(world.spawns, 1);
    assert_int_equal(world.largest, 1);
    assert_int_equal(events[WORLD_ARRIVED], 3);
    assert_int_equal(events[WORLD_DONE], 3);
}

static void two_workers_share_a_queue(void **state)
{
    (void)state;
    arrive(0, 30), arrive(0, 10), arrive(5, 10), arrive(12, 1);
    run(2, 0);
    ASSERT_WAITS(0, 0, 5, 8);
    assert_int_equal(world.worker_us, 2 * 30 * MS);
}

static void a_worker_serves_from_its_start_time_on(void **state)
{
    (void)state;
    arrive(0, 10), arrive(250, 10);
    run(1, 100);
    ASSERT_WAITS(100, 0);
    assert_int_equal(events[WORLD_READY], 1);
    assert_int_equal(world.worker_us, 260 * MS);
}

static void who_has_waited_longest_is_next(void **state)
{
    (void)state;
    arrive(0, 5), arrive(10, 5), arrive(20, 5);
    run(2, 0);
    assert_int_equal(world_busy_us(&world, 0), 10 * MS);
    assert_int_equal(world_busy_us(&world, 1), 5 * MS);
}

/* ---- workers that come and go ---- */

static void a_worker_more_takes_from_the_queue(void **state)
{
    (void)state;
    arrive(0, 100), arrive(0, 100);
    spawn_us = 20 * MS;
    run(1, 10);
    ASSERT_WAITS(10, 30);
    assert_int_equal(world.spawns, 2);
    assert_int_equal(world.largest, 2);
    assert_int_equal(world.worker_us, 130 * MS + 110 * MS);
}

static void a_retired_worker_finishes_its_request(void **state)
{
    (void)state;
    arrive(0, 50), arrive(1, 10), arrive(2, 10);
    retire_us = 5 * MS;
    run(2, 0);
    ASSERT_WAITS(0, 0, 9);
    assert_int_equal(events[WORLD_EXITED], 1);
    assert_int_equal(world_live(&world), 1);
    assert_int_equal(world.served, 3);
}

static void an_idle_worker_leaves_at_once(void **state)
{
    (void)state;
    arrive(0, 1), arrive(100, 1);
    retire_us = 50 * MS;
    run(2, 0);
    ASSERT_WAITS(0, 0);
    assert_int_equal(world.worker_us, 50 * MS + 101 * MS);
}

static void so_does_one_that_starts(void **state)
{
    (void)state;
    arrive(0, 1), arrive(300, 1);
    retire_us = 50 * MS;
    run(2, 100);
    assert_int_equal(events[WORLD_READY], 1);
    assert_int_equal(world.worker_us, 50 * MS + 301 * MS);
    ASSERT_WAITS(100, 0);
}

static void requests_that_nobody_takes_are_not_waited_for_for_ever(void **state)
{
    (void)state;
    arrive(0, 1), arrive(1, 1);
    run(0, 0);
    ASSERT_WAITS(-1, -1);
    assert_int_equal(world.served, 0);
}

/* ---- what is measured ---- */

/* workers.max is 4: six requests for 10 ms, of which two are served at a time. */
static void saturation_is_the_time_with_more_demand_than_max(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++)
        arrive(0, 10);
    run(2, 0);
    assert_int_equal(world.saturated_us, 10 * MS);
}

static void workers_cost_until_the_trace_ends(void **state)
{
    (void)state;
    arrive(0, 1);
    trace.end_us = 1000 * MS;
    run(3, 0);
    assert_int_equal(world.worker_us, 3000 * MS);
}

static void the_track_holds_the_most_of_each_stretch(void **state)
{
    static struct track track;
    (void)state;
    track_init(&track, 1000 * TRACK_POINTS - 1);
    assert_int_equal(track.step_us, 1000);
    track_note(&track, 100, (struct track_point){.demand = 3, .workers = 1, .queue = 2});
    track_note(&track, 200, (struct track_point){.demand = 1, .workers = 2});
    track_note(&track, 3000, (struct track_point){.demand = 7, .workers = 1});
    track_note(&track, INT64_C(1000) * TRACK_POINTS, (struct track_point){.demand = 9});
    assert_int_equal(track.points[0].demand, 3);
    assert_int_equal(track.points[0].workers, 2);
    assert_int_equal(track.points[0].queue, 2);
    assert_int_equal(track.points[2].demand, 1);
    assert_int_equal(track.points[3].demand, 7);
    assert_int_equal(track.points[TRACK_POINTS - 1].demand, 7);
    assert_int_equal(track.count, TRACK_POINTS);
}

/* ---- the agenda ---- */

static void the_agenda_is_in_order(void **state)
{
    struct agenda agenda = {0};
    (void)state;
    assert_int_equal(agenda_next(&agenda), AGENDA_NEVER);
    for (uint32_t i = 0; i < 1000; i++)
        agenda_add(&agenda, (i * 7919) % 10, 0, i, 0);
    int64_t at_us = 0;
    uint32_t slot = 0;
    for (int i = 0; i < 1000; i++) {
        struct agenda_entry entry = agenda_take(&agenda);
        assert_true(entry.at_us > at_us || (entry.at_us == at_us && entry.slot >= slot));
        at_us = entry.at_us;
        slot = entry.slot;
    }
    assert_int_equal(agenda_next(&agenda), AGENDA_NEVER);
    agenda_fini(&agenda);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, clear)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_worker_serves_one_after_the_other),
        TEST(two_workers_share_a_queue),
        TEST(a_worker_serves_from_its_start_time_on),
        TEST(who_has_waited_longest_is_next),
        TEST(a_worker_more_takes_from_the_queue),
        TEST(a_retired_worker_finishes_its_request),
        TEST(an_idle_worker_leaves_at_once),
        TEST(so_does_one_that_starts),
        TEST(requests_that_nobody_takes_are_not_waited_for_for_ever),
        TEST(saturation_is_the_time_with_more_demand_than_max),
        TEST(workers_cost_until_the_trace_ends),
        cmocka_unit_test(the_track_holds_the_most_of_each_stretch),
        cmocka_unit_test(the_agenda_is_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
