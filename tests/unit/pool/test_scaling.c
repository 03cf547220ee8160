/* The number of workers by load: floor, demand, spare, past, saturation. */
#include "tests/unit/pool/script.h"

#include "pool/memory.h"

static struct load load;

/* A look at workers that serve one request at a time, and have taken none since the look before. */
static void stands(uint32_t busy, uint32_t queued)
{
    load.workers = load.places = policy_count(&policy, SLOT_SERVING);
    load.busy = load.peak = busy;
    load.queued = queued;
    policy_step(&policy, &(struct event){.type = EVENT_LOAD, .now_ms = now_ms, .load = load}, &actions);
    assert_null(policy_check(&policy, now_ms));
}

static void is_seen(uint32_t busy, uint32_t queued)
{
    load.accepts++;
    stands(busy, queued);
}

static void all_become_ready(void)
{
    for (uint32_t i = 0; i < SLOTS; i++)
        if (policy.slots[i].state == SLOT_STARTING)
            happens(EVENT_READY, i, 0);
}

static void all_who_leave_are_gone(void)
{
    for (uint32_t i = 0; i < SLOTS; i++)
        if (slot_is_leaving(&policy.slots[i]))
            happens(EVENT_EXITED, i, EXIT_CAUSE_CLEAN);
}

static int setup_dynamic(void **state)
{
    setup(state);
    settings.workers_min = 1;
    settings.workers_max = 9;
    settings.workers_spare = 0;
    settings.idle_timeout_ms = 10000;
    load = (struct load){0};
    return 0;
}

static void begin(void)
{
    happens(EVENT_START, 0, 0);
    all_become_ready();
    passes(POLICY_PROBATION_MS);
}

/* ---- up ---- */

static void what_is_in_hand_and_waits_is_wanted_at_once(void **state)
{
    (void)state;
    begin();
    is_seen(1, 3);
    assert_actions("4 wanted, spawn 1, spawn 2, spawn 3");
    assert_int_equal(actions.items[0].reason, REASON_LOAD);
    is_seen(1, 3); /* those who start are not started again */
    assert_actions("");
}

static void no_more_than_max_and_max_starting(void **state)
{
    (void)state;
    settings.max_starting = 2;
    begin();
    is_seen(1, 1000);
    assert_actions("9 wanted, spawn 1, spawn 2");
    happens(EVENT_READY, 1, 0);
    assert_actions("spawn 3");
}

static void idle_workers_are_enough(void **state)
{
    (void)state;
    settings.workers_min = 3;
    begin();
    is_seen(3, 0);
    assert_actions("");
}

static void spare_workers_stand_beside_those_that_have_work(void **state)
{
    (void)state;
    settings.workers_spare = 2;
    begin();
    is_seen(1, 1);
    assert_int_equal(policy.wanted, 4);
}

static void a_number_of_spare_workers_holds_without_work_too(void **state)
{
    (void)state;
    settings.workers_spare = 2;
    begin();
    assert_int_equal(policy.wanted, 2);
    is_seen(0, 0);
    passes(settings.idle_timeout_ms);
    assert_int_equal(policy.wanted, 2);
}

/* The most of a while has the ups of chance in it; one more is for who comes next. */
static void one_spare_worker_beside_the_demand(void **state)
{
    (void)state;
    settings.workers_spare = SETTING_AUTO;
    begin();
    is_seen(1, 3);
    assert_int_equal(policy.wanted, 5);
}

/* Beside 4 on average, 4 more may well come within the time of a service, as long as it is not known how long
 * that and a start take. */
static void spare_workers_by_the_root_of_the_average(void **state)
{
    (void)state;
    settings.workers_spare = SETTING_AUTO;
    begin();
    is_seen(1, 3);
    all_become_ready();
    passes(5000);
    is_seen(4, 0);
    assert_int_equal(policy.wanted, 5); /* 2 on average: 3 beside them */
    passes(15000);
    is_seen(4, 0);
    assert_int_equal(policy.wanted, 8);
    is_seen(7, 0);
    assert_int_equal(policy_deadline(&policy), now_ms + settings.idle_timeout_ms);
    assert_int_equal(policy.scaling.spare,
                     1); /* the demand of now is more than the average and those beside it */
}

/* As many as there may be, beside as many; of a start nothing is known. */
static void no_more_are_to_spare_than_there_may_be(void **state)
{
    struct scaling scaling;
    struct load many = {.workers = 9, .places = 9, .busy = 9, .peak = 9, .queued = 1000, .service_us = 1000};
    (void)state;
    settings.workers_spare = SETTING_AUTO;
    scaling_init(&scaling);
    scaling_see(&scaling, &settings, &many, 0);
    many.queued = 0;
    scaling_see(&scaling, &settings, &many, 1000000);
    assert_int_equal(scaling.demand + scaling.spare, 9 + 6); /* twice the root of 9 */
}

static void without_work_none_is_to_spare(void **state)
{
    (void)state;
    settings.workers_spare = SETTING_AUTO;
    begin();
    is_seen(0, 0);
    assert_int_equal(policy.wanted, 1);
}

/* What one request at a time asks for, now and then, of workers that start within so long. */
static int64_t wanted_for_one(int64_t start_ms)
{
    settings.workers_spare = SETTING_AUTO;
    settings.workers_min = 0;
    happens(EVENT_START, 0, 0);
    is_seen(0, 1);
    assert_int_equal(policy.wanted, 2); /* nothing is known of a start */
    passes(start_ms);
    happens(EVENT_READY, 0, 0);
    happens(EVENT_READY, 1, 0);
    is_seen(0, 0);
    passes(settings.idle_timeout_ms - 1000);
    is_seen(1, 0);
    passes(1000);
    return policy.wanted;
}

static void none_is_to_spare_beside_a_single_worker_that_soon_has_company(void **state)
{
    (void)state;
    assert_int_equal(wanted_for_one(20), 1);
}

static void one_is_to_spare_beside_a_single_worker_where_a_start_is_long(void **state)
{
    (void)state;
    assert_int_equal(wanted_for_one(21), 2);
}

/* In a start of 1 s that many more come the shorter they take. */
static void fewer_spare_workers_where_they_start_fast(void **state)
{
    (void)state;
    settings.workers_spare = SETTING_AUTO;
    happens(EVENT_START, 0, 0);
    passes(1000);
    happens(EVENT_READY, 0, 0);
    load.service_us = 20000000;
    is_seen(1, 3);
    passes(10000);
    is_seen(4, 0);
    assert_int_equal(policy.scaling.spare, 1);
    load.service_us = 1000000;
    is_seen(4, 0);
    assert_int_equal(policy.scaling.spare, 4);
    load.service_us = 250000;
    is_seen(4, 0);
    assert_int_equal(policy.scaling.spare, 8);
    load.service_us = 1;
    is_seen(4, 0);
    assert_int_equal(policy.scaling.spare, settings.workers_max); /* there is no use in more */
}

static void the_time_of_a_start_is_smoothed(void **state)
{
    (void)state;
    settings.workers_min = 2;
    happens(EVENT_START, 0, 0);
    passes(800);
    happens(EVENT_READY, 0, 0);
    assert_int_equal(policy.scaling.start_us, 800000);
    passes(800);
    happens(EVENT_READY, 1, 0);
    assert_int_equal(policy.scaling.start_us, 900000);
}

/* The worker is through with a queue of 10 at 1 ms each before another one could help. */
static void a_queue_that_is_gone_soon_asks_for_nobody(void **state)
{
    (void)state;
    happens(EVENT_START, 0, 0);
    passes(100);
    happens(EVENT_READY, 0, 0);
    load.service_us = 1000;
    is_seen(1, 100);
    assert_int_equal(policy.wanted, 1);
    is_seen(1, 101 + 100); /* 101 would be left, of which a worker serves 100 in the time of its start */
    assert_int_equal(policy.wanted, 3);
}

/* However fast it was of late. */
static void a_queue_that_stands_asks_for_one_each(void **state)
{
    (void)state;
    happens(EVENT_START, 0, 0);
    passes(100);
    happens(EVENT_READY, 0, 0);
    load.service_us = 1000;
    is_seen(1, 3);
    passes(100);
    stands(1, 3);
    assert_int_equal(policy.wanted, 1);
    passes(1);
    stands(1, 3);
    assert_int_equal(policy.wanted, 4);
}

/* Threads: 2 of 4 places each. */
static void places_are_counted_in_workers(void **state)
{
    (void)state;
    settings.workers_min = 2;
    begin();
    load = (struct load){.workers = 2, .places = 8, .busy = 8, .peak = 8, .queued = 5};
    policy_step(&policy, &(struct event){.type = EVENT_LOAD, .now_ms = now_ms, .load = load}, &actions);
    assert_int_equal(policy.wanted, 4); /* 13 places */
}

static void the_first_connection_starts_a_pool_on_demand(void **state)
{
    (void)state;
    settings.workers_min = 0;
    happens(EVENT_START, 0, 0);
    assert_actions("=running");
    assert_int_equal(policy_deadline(&policy), NEVER_MS);
    is_seen(0, 1);
    assert_actions("1 wanted, spawn 0");
}

static void a_pool_may_start_with_more_than_its_floor(void **state)
{
    (void)state;
    settings.workers_start = 4;
    begin();
    assert_states(0, 4, 0);
    passes(settings.idle_timeout_ms);
    assert_actions("1 wanted, retire 0, retire 1, retire 2");
}

static void a_static_pool_stays_as_it_is(void **state)
{
    (void)state;
    settings.workers_max = settings.workers_min = 3;
    run();
    is_seen(3, 50);
    assert_int_equal(policy.wanted, 3);
    passes(settings.idle_timeout_ms);
    assert_int_equal(policy.wanted, 3);
}

static void a_paused_pool_has_no_load(void **state)
{
    (void)state;
    begin();
    happens(EVENT_PAUSE, 0, 0);
    all_who_leave_are_gone();
    is_seen(0, 5);
    assert_int_equal(policy.wanted, 1);
    happens(EVENT_RESUME, 0, 0);
    assert_states(1, 0, 0);
}

/* ---- down ---- */

static void surplus_goes_after_idle_timeout(void **state)
{
    (void)state;
    begin();
    is_seen(1, 2);
    all_become_ready();
    is_seen(0, 0);
    passes(settings.idle_timeout_ms - 1);
    assert_int_equal(policy.wanted, 3);
    passes(1);
    assert_actions("1 wanted, retire 0, retire 1");
    assert_int_equal(actions.items[0].reason, REASON_IDLE);
    all_who_leave_are_gone();
    assert_int_equal(policy_deadline(&policy), NEVER_MS);
}

/* Between two looks it holds, even where nothing is remembered. */
static void what_was_seen_last_holds_until_the_next_look(void **state)
{
    (void)state;
    settings.idle_timeout_ms = 0;
    begin();
    is_seen(1, 2);
    assert_int_equal(policy.wanted, 3);
    all_become_ready();
    passes(999);
    assert_int_equal(policy.wanted, 3);
    is_seen(2, 0);
    assert_actions("2 wanted, retire 0");
    is_seen(0, 0);
    assert_int_equal(policy.wanted, 1);
}

static void a_later_smaller_demand_holds_longer(void **state)
{
    (void)state;
    begin();
    is_seen(1, 4);
    all_become_ready();
    passes(6000);
    is_seen(3, 0);
    is_seen(2, 0);
    passes(4000);
    assert_int_equal(policy.wanted, 3);
    is_seen(0, 0);
    passes(6000);
    assert_int_equal(policy.wanted, 1);
}

static void the_peak_since_the_last_look_counts(void **state)
{
    (void)state;
    settings.workers_min = 4;
    begin();
    settings.workers_spare = 3;
    load.workers = load.places = 4;
    load.busy = 0;
    load.peak = 4;
    load.queued = 0;
    policy_step(&policy, &(struct event){.type = EVENT_LOAD, .now_ms = now_ms, .load = load}, &actions);
    assert_int_equal(policy.wanted, 7);
}

static int64_t asked_at(struct scaling *scaling, int64_t ms)
{
    scaling_forget(scaling, &settings, ms);
    return scaling_asked(scaling, &settings);
}

/* More steps down than are remembered: too many are wanted for a while, never too few. */
static void a_long_slope_is_remembered_from_above(void **state)
{
    struct scaling scaling;
    (void)state;
    scaling_init(&scaling);
    for (uint32_t i = 0; i < 3 * SCALING_PEAKS; i++)
        scaling_ask(&scaling, 100 - i, i);
    for (int64_t ms = 0; ms < 3 * SCALING_PEAKS; ms++)
        assert_true(asked_at(&scaling, ms + settings.idle_timeout_ms - 1) >= 100 - ms);
    assert_int_equal(asked_at(&scaling, 3 * SCALING_PEAKS + settings.idle_timeout_ms), 0);
    assert_int_equal(scaling_deadline(&scaling, &settings), NEVER_MS);
}

static void the_idle_ones_go_first(void **state)
{
    static bool busy[SLOTS] = {true, false, true};
    (void)state;
    begin();
    is_seen(1, 2);
    all_become_ready();
    load.busy_slots = busy;
    is_seen(2, 0);
    load.busy_slots = NULL;
    passes(settings.idle_timeout_ms - 1000);
    is_seen(2, 0);
    passes(1000);
    assert_actions("2 wanted, retire 1");
}

/* ---- memory ---- */

static void memory_holds_the_load_back_but_not_the_floor(void **state)
{
    (void)state;
    settings.workers_min = 2;
    begin();
    is_seen(2, 4);
    assert_int_equal(policy.wanted, 6);
    all_become_ready();
    happens(EVENT_MEMORY, 0, 4);
    assert_actions("4 wanted, retire 0, retire 1");
    assert_true(policy_is_held(&policy));
    happens(EVENT_MEMORY, 0, 1);
    assert_int_equal(policy.wanted, 2);
    all_who_leave_are_gone();
    happens(EVENT_MEMORY, 0, INT64_MAX);
    assert_int_equal(policy.wanted, 6);
    assert_false(policy_is_held(&policy));
    is_seen(2, 100); /* that workers.max does not allow more is not for memory */
    assert_false(policy_is_held(&policy));
}

static void a_static_pool_is_not_held(void **state)
{
    (void)state;
    settings.workers_max = settings.workers_min = 3;
    run();
    is_seen(3, 100);
    happens(EVENT_MEMORY, 0, 1);
    assert_int_equal(policy.wanted, 3);
    assert_false(policy_is_held(&policy));
}

static void there_are_slots_for_the_largest_pool(void **state)
{
    (void)state;
    settings.workers_max = 40;
    assert_int_equal(policy_slots_for(&settings, 1, 1), policy_slots_for(&settings, 40, 1));
    assert_true(policy_slots_for(&settings, 50, 1) > policy_slots_for(&settings, 40, 1));
}

static void memory_allows_what_fits(void **state)
{
    struct memory memory = {.used = 500, .limit = 1000, .worker = 100};
    (void)state;
    assert_int_equal(memory_ceiling(&memory, 5, 5), 9);
    memory.used = 899;
    assert_int_equal(memory_ceiling(&memory, 5, 5), 5);
    memory.used = 949;
    assert_int_equal(memory_ceiling(&memory, 5, 3), 5);
    memory.used = 950;
    assert_int_equal(memory_ceiling(&memory, 5, 3), 3);
    assert_int_equal(memory_ceiling(&memory, 5, 9), 5);
    memory = (struct memory){.used = 0, .limit = UINT64_MAX, .worker = 0};
    assert_int_equal(memory_ceiling(&memory, 5, 9), INT64_MAX);
}

/* ---- by hand ---- */

static void the_floor_is_moved_by_hand(void **state)
{
    (void)state;
    begin();
    happens(EVENT_SCALE_BY, 0, 1);
    assert_actions("2 wanted, spawn 1");
    assert_int_equal(policy.floor, 2);
    all_become_ready();
    is_seen(2, 3);
    all_become_ready();
    happens(EVENT_SCALE_BY, 0, 1);
    assert_actions(""); /* the load wants more */
    is_seen(0, 0);
    passes(settings.idle_timeout_ms);
    assert_int_equal(policy.wanted, 3);
    happens(EVENT_SCALE_TO, 0, 0);
    assert_int_equal(policy.wanted, 1);
}

static void the_floor_of_a_pool_on_demand_may_be_0(void **state)
{
    (void)state;
    settings.workers_min = 0;
    happens(EVENT_START, 0, 0);
    happens(EVENT_SCALE_BY, 0, 1);
    assert_actions("1 wanted, spawn 0");
    happens(EVENT_SCALE_BY, 0, -5);
    assert_int_equal(policy.wanted, 0);
}

static void a_lower_maximum_holds_at_once(void **state)
{
    (void)state;
    begin();
    is_seen(1, 8);
    all_become_ready();
    settings.workers_max = 4;
    happens(EVENT_SETTINGS, 0, 0);
    assert_int_equal(policy.wanted, 4);
}

/* ---- looks ---- */

static void what_workers_tell_is_made_possible(void **state)
{
    struct load seen = {.places = 4};
    (void)state;
    load_count(&seen, 3, 1);
    assert_int_equal(seen.busy, 1);
    assert_int_equal(seen.peak, 3);
    load_count(&seen, INT32_MIN, INT32_MAX);
    assert_int_equal(seen.busy, 4);
    assert_int_equal(seen.peak, 4);
    load_count(&seen, 9, -9);
    assert_int_equal(seen.busy, 0);
    assert_int_equal(seen.peak, 4);
}

static void the_queue_is_watched_while_nobody_is_idle(void **state)
{
    struct load seen = {.workers = 3, .places = 3};
    (void)state;
    settings.workers_min = 3;
    begin();
    assert_int_equal(policy_look_ms(&policy, &seen), NEVER_MS);
    seen.peak = 2;
    assert_int_equal(policy_look_ms(&policy, &seen), POLICY_LOOK_LAST_MS);
    seen.busy = seen.peak = 3;
    assert_int_equal(policy_look_ms(&policy, &seen), POLICY_LOOK_SOON_MS);
    seen = (struct load){.workers = 3, .places = 3, .queued = 1};
    assert_int_equal(policy_look_ms(&policy, &seen), POLICY_LOOK_SOON_MS);
    settings.workers_min = 1;
    settings.workers_max = 3;
    assert_int_equal(policy_look_ms(&policy, &seen), POLICY_LOOK_LATER_MS); /* all that there may be */
    settings.workers_min = settings.workers_max = 4;
    assert_int_equal(policy_look_ms(&policy, &seen), POLICY_LOOK_LATER_MS); /* not by load */
    seen = (struct load){.workers = 4, .places = 4, .busy = 2, .peak = 3};
    assert_int_equal(policy_look_ms(&policy, &seen), NEVER_MS);
}

static void a_pool_without_workers_is_watched_when_somebody_waits(void **state)
{
    struct load seen = {0};
    (void)state;
    settings.workers_min = 0;
    happens(EVENT_START, 0, 0);
    assert_int_equal(policy_look_ms(&policy, &seen), NEVER_MS);
    seen.queued = 1;
    assert_int_equal(policy_look_ms(&policy, &seen), POLICY_LOOK_LATER_MS); /* nobody can be started */
    is_seen(0, 1);
    assert_int_equal(policy_look_ms(&policy, &seen), POLICY_LOOK_SOON_MS); /* somebody was */
}

/* ---- saturation ---- */

static void saturation_is_told_once_an_episode(void **state)
{
    (void)state;
    settings.workers_max = 2;
    begin();
    is_seen(1, 5);
    assert_actions("2 wanted, spawn 1");
    all_become_ready();
    passes(100);
    load.requests = 10;
    is_seen(2, 5);
    assert_actions("saturated 1");
    passes(100);
    load.requests = 30;
    is_seen(2, 5);
    assert_actions("");
    assert_int_equal(policy.stats.saturated, 1);
    assert_int_equal(policy.stats.saturated_ms, 200);
    assert_int_equal(policy.stats.saturated_requests, 30);
    is_seen(1, 0);
    passes(SATURATION_REST_MS - 1);
    assert_actions("");
    passes(1);
    assert_actions("saturated 0");
    assert_false(policy.saturation.lasts);
}

static void once_over_is_no_episode(void **state)
{
    (void)state;
    settings.workers_max = 2;
    begin();
    is_seen(1, 5);
    passes(10);
    is_seen(1, 0);
    assert_int_equal(policy.stats.saturated, 0);
    assert_int_equal(policy.stats.saturated_ms, 0);
}

static void a_short_break_does_not_end_an_episode(void **state)
{
    (void)state;
    settings.workers_max = 1;
    begin();
    for (int i = 0; i < 5; i++) {
        is_seen(1, 5);
        is_seen(1, 5);
        passes(100);
        is_seen(1, 0);
        passes(100);
    }
    assert_int_equal(policy.stats.saturated, 1);
}

static void a_static_pool_is_saturated_too(void **state)
{
    (void)state;
    settings.workers_max = settings.workers_min = 3;
    run();
    is_seen(3, 1);
    is_seen(3, 1);
    assert_actions("saturated 1");
}

/* ---- the check ---- */

static void broken_invariants_are_found(void **state)
{
    (void)state;
    begin();
    policy.floor = 2;
    assert_string_equal(policy_check(&policy, now_ms), "no fewer workers than the floor");
    policy.floor = 1;
    policy.wanted = 10;
    assert_string_equal(policy_check(&policy, now_ms), "no more workers than workers.max");
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup(function, setup_dynamic)
    const struct CMUnitTest tests[] = {
        TEST(what_is_in_hand_and_waits_is_wanted_at_once),
        TEST(no_more_than_max_and_max_starting),
        TEST(idle_workers_are_enough),
        TEST(spare_workers_stand_beside_those_that_have_work),
        TEST(a_number_of_spare_workers_holds_without_work_too),
        TEST(one_spare_worker_beside_the_demand),
        TEST(spare_workers_by_the_root_of_the_average),
        TEST(no_more_are_to_spare_than_there_may_be),
        TEST(without_work_none_is_to_spare),
        TEST(none_is_to_spare_beside_a_single_worker_that_soon_has_company),
        TEST(one_is_to_spare_beside_a_single_worker_where_a_start_is_long),
        TEST(fewer_spare_workers_where_they_start_fast),
        TEST(the_time_of_a_start_is_smoothed),
        TEST(a_queue_that_is_gone_soon_asks_for_nobody),
        TEST(a_queue_that_stands_asks_for_one_each),
        TEST(places_are_counted_in_workers),
        TEST(the_first_connection_starts_a_pool_on_demand),
        TEST(a_pool_may_start_with_more_than_its_floor),
        TEST(a_static_pool_stays_as_it_is),
        TEST(a_paused_pool_has_no_load),
        TEST(surplus_goes_after_idle_timeout),
        TEST(what_was_seen_last_holds_until_the_next_look),
        TEST(a_later_smaller_demand_holds_longer),
        TEST(the_peak_since_the_last_look_counts),
        TEST(a_long_slope_is_remembered_from_above),
        TEST(the_idle_ones_go_first),
        TEST(memory_holds_the_load_back_but_not_the_floor),
        TEST(a_static_pool_is_not_held),
        TEST(there_are_slots_for_the_largest_pool),
        TEST(memory_allows_what_fits),
        TEST(the_floor_is_moved_by_hand),
        TEST(the_floor_of_a_pool_on_demand_may_be_0),
        TEST(a_lower_maximum_holds_at_once),
        TEST(what_workers_tell_is_made_possible),
        TEST(the_queue_is_watched_while_nobody_is_idle),
        TEST(a_pool_without_workers_is_watched_when_somebody_waits),
        TEST(saturation_is_told_once_an_episode),
        TEST(once_over_is_no_episode),
        TEST(a_short_break_does_not_end_an_episode),
        TEST(a_static_pool_is_saturated_too),
        TEST(broken_invariants_are_found),
    };
    return cmocka_run_group_tests_name("pool/scaling", tests, NULL, NULL);
}
