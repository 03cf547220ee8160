/* The policy core, as a script: what happens, what has to be done, who is there. */
#include "tests/unit/pool/script.h"

/* ---- starting ---- */

static void a_pool_starts_what_is_wanted(void **state)
{
    (void)state;
    happens(EVENT_START, 0, 0);
    assert_actions("spawn 0, spawn 1, spawn 2");
    assert_int_equal(actions.items[0].reason, REASON_START);
    assert_int_equal(policy.state, POOL_STARTING);
    assert_int_equal(policy_deadline(&policy), now_ms + 30000);
}

static void it_runs_when_the_first_worker_accepts(void **state)
{
    (void)state;
    happens(EVENT_START, 0, 0);
    happens(EVENT_READY, 1, 0);
    assert_actions("=running");
    happens(EVENT_READY, 0, 0);
    assert_actions("");
}

static void not_more_than_max_starting_start_at_a_time(void **state)
{
    (void)state;
    settings.max_starting = 2;
    happens(EVENT_START, 0, 0);
    assert_actions("spawn 0, spawn 1");
    happens(EVENT_READY, 0, 0);
    assert_actions("spawn 2, =running");
}

static void a_static_pool_goes_on_with_the_number_set_by_hand(void **state)
{
    (void)state;
    policy_succeed(&policy, 7, 4, 4);
    happens(EVENT_START, 0, 0);
    assert_actions("spawn 0, spawn 1, spawn 2, spawn 3");
    assert_int_equal(policy.floor, 4);
    assert_int_equal(policy.slots[0].generation, 7);
}

static void a_dynamic_pool_goes_on_with_as_many_as_there_are(void **state)
{
    (void)state;
    settings.workers_min = 1;
    settings.workers_max = 4;
    policy_succeed(&policy, 2, 1, 3);
    happens(EVENT_START, 0, 0);
    assert_actions("spawn 0, spawn 1, spawn 2");
    assert_int_equal(policy.floor, 1);
    assert_int_equal(policy.wanted, 3);
}

static void counters_go_on(void **state)
{
    struct stats before = {.spawned = 10, .cut = 1};
    (void)state;
    happens(EVENT_START, 0, 0);
    policy_add_stats(&policy, &before);
    assert_int_equal(policy.stats.spawned, 13);
    assert_int_equal(policy.stats.cut, 1);
    assert_int_equal(policy.stats.retired, 0);
}

static void an_idle_pool_sleeps_for_good(void **state)
{
    (void)state;
    run();
}

static void start_timeout_aborts_then_kills(void **state)
{
    (void)state;
    settings.workers_min = settings.workers_max = 1;
    happens(EVENT_START, 0, 0);
    passes(29999);
    assert_actions("");
    passes(1);
    assert_actions("abort 0");
    assert_int_equal(actions.items[0].reason, REASON_START_TIMEOUT);
    passes(100); /* the backoff's pause: the next try does not wait for the last one's end */
    assert_actions("spawn 1");
    passes(1900);
    assert_actions("kill 0");
    happens(EVENT_EXITED, 0, EXIT_CAUSE_SIGNAL);
    assert_int_equal(policy.stats.start_failed, 1);
    assert_int_equal(policy.stats.aborted, 1);
    assert_int_equal(policy.stats.killed, 1);
}

static void start_timeout_0_waits_for_ever(void **state)
{
    (void)state;
    settings.start_timeout_ms = 0;
    happens(EVENT_START, 0, 0);
    assert_int_equal(policy_deadline(&policy), NEVER_MS);
}

/* ---- failures ---- */

static void a_crash_is_replaced_at_once(void **state)
{
    (void)state;
    run();
    happens(EVENT_EXITED, 1, EXIT_CAUSE_SIGNAL);
    assert_actions("spawn 1");
    assert_int_equal(actions.items[0].reason, REASON_REPLACE);
    assert_int_equal(policy.stats.crashed, 1);
    assert_int_equal(policy.backoff.failures, 0);
}

static void exit_0_is_no_crash(void **state)
{
    (void)state;
    run();
    happens(EVENT_EXITED, 1, EXIT_CAUSE_CLEAN);
    assert_actions("spawn 1");
    assert_int_equal(policy.stats.left, 1);
    assert_int_equal(policy.stats.crashed, 0);
}

static void a_worker_that_leaves_young_is_replaced_after_a_pause(void **state)
{
    (void)state;
    run();
    happens(EVENT_EXITED, 1, EXIT_CAUSE_CLEAN);
    happens(EVENT_READY, 1, 0);
    now_ms += 10;
    happens(EVENT_EXITED, 1, EXIT_CAUSE_CLEAN);
    assert_actions("");
    assert_int_equal(policy.backoff.failures, 0);
    assert_int_equal(policy_deadline(&policy), now_ms + settings.backoff_initial_ms);
    passes(settings.backoff_initial_ms);
    assert_actions("spawn 1");
}

static void a_worker_that_crashes_young_counts_as_a_failure(void **state)
{
    (void)state;
    run();
    happens(EVENT_EXITED, 1, EXIT_CAUSE_SIGNAL);
    happens(EVENT_READY, 1, 0);
    happens(EVENT_EXITED, 1, EXIT_CAUSE_SIGNAL);
    assert_actions("");
    assert_int_equal(policy.backoff.failures, 1);
}

static void after_a_failure_starts_are_probes(void **state)
{
    (void)state;
    happens(EVENT_START, 0, 0);
    for (uint32_t i = 0; i < 3; i++)
        happens(EVENT_EXITED, i, EXIT_CAUSE_CLEAN);
    assert_int_equal(policy.stats.start_failed, 3);
    assert_int_equal(policy.backoff.failures, 1);
    assert_int_equal(policy_deadline(&policy), now_ms + 100);
    passes(100);
    assert_actions("spawn 0");
    assert_int_equal(policy_deadline(&policy), now_ms + 30000); /* the probe's; nothing else to wait for */
    happens(EVENT_READY, 0, 0);
    assert_actions("spawn 1, =running");
    happens(EVENT_READY, 1, 0);
    assert_actions("spawn 2");
    passes(POLICY_PROBATION_MS);
    assert_int_equal(policy.backoff.failures, 0);
}

static void failing_is_said_and_taken_back(void **state)
{
    (void)state;
    settings.workers_min = settings.workers_max = 1;
    happens(EVENT_START, 0, 0);
    for (int i = 1; i < 5; i++) {
        happens(EVENT_EXITED, 0, EXIT_CAUSE_SIGNAL);
        passes(policy_deadline(&policy) - now_ms);
        assert_actions("spawn 0");
    }
    happens(EVENT_SPAWN_FAILED, 0, 0);
    assert_actions("=failing");
    passes(policy_deadline(&policy) - now_ms);
    happens(EVENT_READY, 0, 0);
    assert_int_equal(policy.state, POOL_FAILING);
    passes(POLICY_PROBATION_MS);
    assert_actions("=running");
}

static void a_failing_pool_that_needs_nobody_more_runs(void **state)
{
    (void)state;
    settings.failures = 1;
    settings.workers_min = settings.workers_max = 2;
    happens(EVENT_START, 0, 0);
    happens(EVENT_READY, 0, 0);
    happens(EVENT_SPAWN_FAILED, 1, 0);
    assert_int_equal(policy.state, POOL_FAILING);
    happens(EVENT_SCALE_TO, 0, 1);
    assert_actions("1 wanted, =running");
}

static void a_failing_pool_that_lost_its_probe_after_the_row_ended_starts_again(void **state)
{
    (void)state;
    settings.failures = 1;
    settings.workers_min = settings.workers_max = 2;
    happens(EVENT_START, 0, 0);
    happens(EVENT_READY, 0, 0);
    happens(EVENT_SPAWN_FAILED, 1, 0);
    assert_int_equal(policy.state, POOL_FAILING);
    now_ms += POLICY_PROBATION_MS;
    happens(EVENT_EXITED, 0, EXIT_CAUSE_SIGNAL);
    assert_int_equal(policy.state, POOL_FAILING);
}

/* ---- scaling by hand ---- */

static void scale_up_starts_and_scale_down_retires(void **state)
{
    (void)state;
    run();
    happens(EVENT_SCALE_BY, 0, 1);
    assert_actions("4 wanted, spawn 3");
    assert_int_equal(actions.items[1].reason, REASON_SCALE_UP);
    happens(EVENT_READY, 3, 0);
    happens(EVENT_SCALE_TO, 0, 2);
    assert_actions("2 wanted, retire 0, retire 1");
    assert_int_equal(actions.items[1].reason, REASON_SCALE_DOWN);
    happens(EVENT_EXITED, 0, EXIT_CAUSE_SIGNAL);
    happens(EVENT_EXITED, 1, EXIT_CAUSE_SIGNAL);
    assert_actions("");
    assert_int_equal(policy.stats.retired, 2);
    assert_int_equal(policy.stats.crashed, 0);
    assert_states(0, 2, 0);
}

static void who_does_not_serve_yet_is_retired_first(void **state)
{
    (void)state;
    run();
    happens(EVENT_SCALE_TO, 0, 4);
    happens(EVENT_SCALE_TO, 0, 3);
    assert_actions("3 wanted, retire 3");
    happens(EVENT_READY, 3, 0); /* too late */
    assert_states(0, 3, 1);
}

static void a_static_pool_scales_from_1_to_the_capacity(void **state)
{
    (void)state;
    run();
    happens(EVENT_SCALE_BY, 0, -10);
    assert_int_equal(policy.wanted, 1);
    happens(EVENT_SCALE_BY, 0, 4096);
    assert_int_equal(policy.wanted, 4096);
}

static void a_dynamic_pool_scales_its_floor_up_to_max(void **state)
{
    (void)state;
    settings.workers_max = 5;
    run();
    happens(EVENT_SCALE_TO, 0, 9);
    assert_int_equal(policy.wanted, 5);
}

static void dying_workers_are_no_capacity_but_take_their_slots(void **state)
{
    (void)state;
    run();
    happens(EVENT_SCALE_TO, 0, SLOTS);
    assert_states(9, 3, 0);
    happens(EVENT_SCALE_TO, 0, 1);
    happens(EVENT_SCALE_TO, 0, SLOTS);
    assert_actions("12 wanted"); /* no slot is free */
    happens(EVENT_SCALE_TO, 0, SLOTS);
    assert_actions("");
    assert_states(0, 1, 11);
    assert_int_equal(policy_deadline(&policy), now_ms + 30000); /* of the retirements */
    happens(EVENT_EXITED, 5, EXIT_CAUSE_SIGNAL);
    assert_actions("spawn 5");
}

static void a_retirement_is_cut_at_graceful_timeout(void **state)
{
    (void)state;
    run();
    happens(EVENT_SCALE_TO, 0, 2);
    passes(29999);
    assert_actions("");
    passes(1);
    assert_actions("kill 0");
    assert_int_equal(policy.slots[0].reason, REASON_GRACEFUL_TIMEOUT);
    assert_int_equal(policy.stats.cut, 1);
    passes(POLICY_REAP_MS); /* the kernel does not let go of it: nothing more to do */
    assert_actions("");
    assert_int_equal(policy_deadline(&policy), NEVER_MS);
    happens(EVENT_EXITED, 0, EXIT_CAUSE_SIGNAL);
    assert_states(0, 2, 0);
}

static void more_slots_keep_the_workers(void **state)
{
    (void)state;
    static struct slot more[SLOTS + 1];
    static struct action more_items[2 * (SLOTS + 1) + 8];
    run();
    actions = (struct actions){.items = more_items, .capacity = 2 * (SLOTS + 1) + 8};
    policy_grow(&policy, more, SLOTS + 1);
    assert_int_equal(policy_count(&policy, SLOT_SERVING), 3);
    assert_int_equal(policy_count(&policy, SLOT_EMPTY), SLOTS + 1 - 3);
    assert_int_equal(policy_slots_for(&settings, 10, 1), 12);
    assert_int_equal(policy_slots_for(&settings, 1, 1), 3);
}

static void an_event_of_a_former_incarnation_is_dropped(void **state)
{
    (void)state;
    run();
    happens(EVENT_EXITED, 1, EXIT_CAUSE_SIGNAL);
    static const enum event_type types[] = {EVENT_READY, EVENT_EXITED, EVENT_SPAWN_FAILED};
    for (int i = 0; i < 3; i++) {
        struct event late = {.type = types[i], .now_ms = now_ms, .slot = 1, .incarnation = 2};
        policy_step(&policy, &late, &actions);
        assert_actions("");
        assert_states(1, 2, 0);
    }
}

/* ---- stopping ---- */

static void a_graceful_stop_serves_the_queue_then_retires(void **state)
{
    (void)state;
    run();
    happens(EVENT_STOP, 0, 0);
    assert_actions("=stopping, refuse");
    assert_int_equal(policy_deadline(&policy), now_ms + 30000);
    happens(EVENT_QUEUE_EMPTY, 0, 0);
    assert_actions("retire 0, retire 1, retire 2");
    happens(EVENT_QUEUE_EMPTY, 0, 0);
    assert_actions("");
    happens(EVENT_EXITED, 0, EXIT_CAUSE_SIGNAL);
    happens(EVENT_EXITED, 1, EXIT_CAUSE_CLEAN);
    assert_actions("");
    happens(EVENT_EXITED, 2, EXIT_CAUSE_SIGNAL);
    assert_actions("=stopped");
    assert_int_equal(policy.stats.crashed, 0);
}

static void a_crash_in_a_stop_is_replaced_while_the_queue_waits(void **state)
{
    (void)state;
    run();
    happens(EVENT_STOP, 0, 0);
    happens(EVENT_EXITED, 0, EXIT_CAUSE_SIGNAL);
    assert_actions("spawn 0");
    happens(EVENT_SCALE_TO, 0, 5);
    assert_actions("");
    happens(EVENT_QUEUE_EMPTY, 0, 0);
    assert_actions("retire 0, retire 1, retire 2");
}

static void a_stop_ends_at_graceful_timeout(void **state)
{
    (void)state;
    run();
    happens(EVENT_SCALE_TO, 0, 2); /* one is retiring already */
    passes(10);
    happens(EVENT_STOP, 0, 0);
    passes(29990);
    assert_actions("kill 0");
    passes(10);
    assert_actions("retire 1, retire 2, kill 1, kill 2");
    happens(EVENT_EXITED, 0, EXIT_CAUSE_SIGNAL);
    happens(EVENT_EXITED, 1, EXIT_CAUSE_SIGNAL);
    passes(POLICY_REAP_MS); /* the last one hangs in the kernel */
    assert_actions("=stopped");
}

static void a_retirement_never_outlasts_the_stop(void **state)
{
    (void)state;
    settings.graceful_timeout_ms = 5000;
    run();
    happens(EVENT_SCALE_TO, 0, 2);
    settings.graceful_timeout_ms = 1000; /* as a reload does */
    happens(EVENT_STOP, 0, 0);
    assert_int_equal(policy.slots[0].deadline_ms, now_ms + 1000);
}

static void a_quick_stop_aborts_and_kills(void **state)
{
    (void)state;
    settings.abort_timeout_ms = 500;
    run();
    happens(EVENT_SCALE_TO, 0, 2);
    happens(EVENT_STOP_QUICK, 0, 0);
    assert_actions("=stopping, refuse, abort 0, abort 1, abort 2");
    passes(500);
    assert_actions("kill 0, kill 1, kill 2");
    for (uint32_t i = 0; i < 3; i++)
        happens(EVENT_EXITED, i, EXIT_CAUSE_SIGNAL);
    assert_actions("=stopped");
}

static void a_quick_stop_waits_a_second_at_most(void **state)
{
    (void)state;
    settings.workers_min = settings.workers_max = 1;
    happens(EVENT_START, 0, 0);
    passes(30000);
    assert_actions("abort 0"); /* start_timeout: killed 2 s later */
    happens(EVENT_STOP_QUICK, 0, 0);
    passes(POLICY_QUICK_MS);
    assert_actions("kill 0");
}

static void a_second_stop_is_a_quick_one(void **state)
{
    (void)state;
    run();
    happens(EVENT_STOP, 0, 0);
    happens(EVENT_STOP, 0, 0);
    assert_actions("abort 0, abort 1, abort 2");
}

static void a_quick_stop_hurries_a_graceful_one(void **state)
{
    (void)state;
    run();
    happens(EVENT_STOP, 0, 0);
    happens(EVENT_QUEUE_EMPTY, 0, 0);
    happens(EVENT_STOP_QUICK, 0, 0);
    assert_actions("abort 0, abort 1, abort 2");
}

static void a_pool_without_workers_stops_at_once(void **state)
{
    (void)state;
    settings.workers_min = settings.workers_max = 1;
    happens(EVENT_START, 0, 0);
    happens(EVENT_EXITED, 0, EXIT_CAUSE_SIGNAL);
    happens(EVENT_STOP, 0, 0);
    assert_int_equal(policy_deadline(&policy), now_ms + 100); /* the queue may still need a worker */
    happens(EVENT_QUEUE_EMPTY, 0, 0);
    assert_actions("=stopped");
    passes(100);
    assert_actions("");
    assert_int_equal(policy_deadline(&policy), NEVER_MS);
}

/* ---- pausing ---- */

static void a_pause_retires_all_and_a_resume_brings_them_back(void **state)
{
    (void)state;
    run();
    happens(EVENT_PAUSE, 0, 0);
    assert_actions("retire 0, retire 1, retire 2, =paused");
    assert_int_equal(slots[0].reason, REASON_PAUSE);
    happens(EVENT_PAUSE, 0, 0);
    assert_actions("");
    for (uint32_t i = 0; i < 3; i++)
        happens(EVENT_EXITED, i, EXIT_CAUSE_SIGNAL);
    assert_states(0, 0, 0);
    assert_int_equal(policy_deadline(&policy), NEVER_MS);
    happens(EVENT_RESUME, 0, 0);
    assert_actions("spawn 0, spawn 1, spawn 2, =starting");
    assert_int_equal(actions.items[0].reason, REASON_RESUME);
    happens(EVENT_READY, 0, 0);
    assert_actions("=running");
    happens(EVENT_RESUME, 0, 0);
    assert_actions("");
}

static void in_a_pause_the_number_can_be_changed(void **state)
{
    (void)state;
    run();
    happens(EVENT_PAUSE, 0, 0);
    happens(EVENT_SCALE_TO, 0, 4);
    assert_actions("4 wanted");
    happens(EVENT_RESUME, 0, 0);
    assert_actions("spawn 3, spawn 4, spawn 5, spawn 6, =starting");
}

static void a_resume_does_not_wait_for_the_backoff(void **state)
{
    (void)state;
    settings.failures = 1;
    happens(EVENT_START, 0, 0);
    happens(EVENT_EXITED, 0, EXIT_CAUSE_SIGNAL);
    assert_actions("=failing");
    happens(EVENT_PAUSE, 0, 0);
    assert_actions("retire 1, retire 2, =paused");
    happens(EVENT_RESUME, 0, 0);
    assert_actions("spawn 0, spawn 3, spawn 4, =starting");
}

static void a_paused_pool_stops_without_a_worker(void **state)
{
    (void)state;
    happens(EVENT_PAUSE, 0, 0);
    happens(EVENT_QUEUE_WAITING, 0, 0);
    assert_actions("");
    happens(EVENT_STOP, 0, 0);
    assert_actions("=stopping, refuse");
    happens(EVENT_PAUSE, 0, 0);
    happens(EVENT_RESUME, 0, 0);
    assert_actions("");
    happens(EVENT_QUEUE_EMPTY, 0, 0);
    assert_actions("=stopped");
}

/* At once: the pause between starts that failed before might outlast graceful_timeout. */
static void a_paused_pool_that_stops_serves_its_queue(void **state)
{
    (void)state;
    settings.backoff_initial_ms = 30000;
    happens(EVENT_START, 0, 0);
    happens(EVENT_EXITED, 0, EXIT_CAUSE_SIGNAL);
    assert_actions("");
    happens(EVENT_PAUSE, 0, 0);
    for (uint32_t i = 1; i < 3; i++)
        happens(EVENT_EXITED, i, EXIT_CAUSE_SIGNAL);
    happens(EVENT_STOP, 0, 0);
    happens(EVENT_QUEUE_WAITING, 0, 0);
    assert_actions("spawn 0, spawn 1, spawn 2");
    assert_int_equal(actions.items[0].reason, REASON_QUEUE);
    happens(EVENT_QUEUE_WAITING, 0, 0);
    assert_actions("");
    happens(EVENT_QUEUE_EMPTY, 0, 0);
    assert_actions("retire 0, retire 1, retire 2");
}

/* ---- new settings ---- */

static void new_limits_hold_at_once(void **state)
{
    (void)state;
    happens(EVENT_START, 0, 0);
    happens(EVENT_READY, 0, 0);
    happens(EVENT_READY, 1, 0);
    passes(POLICY_PROBATION_MS);
    happens(EVENT_SCALE_BY, 0, -1); /* retires 2, which does not serve yet */
    happens(EVENT_SCALE_BY, 0, 1);
    assert_actions("3 wanted, spawn 3");
    settings.graceful_timeout_ms = 5000;
    settings.start_timeout_ms = 4000;
    happens(EVENT_SETTINGS, 0, 0);
    assert_actions("");
    passes(4000);
    assert_actions("abort 3");
    settings.abort_timeout_ms = 10;
    settings.start_timeout_ms = 0;
    happens(EVENT_SETTINGS, 0, 0);
    passes(10);
    assert_actions("kill 3");
    passes(90);
    assert_actions("spawn 4");
    happens(EVENT_SETTINGS, 0, 0);
    passes(900);
    assert_actions("kill 2");
    passes(1000000);
    assert_int_equal(slots[4].state, SLOT_STARTING);
}

static void a_longer_graceful_timeout_holds_for_who_is_retiring(void **state)
{
    (void)state;
    settings.graceful_timeout_ms = 2000;
    run();
    happens(EVENT_SCALE_BY, 0, -1);
    assert_actions("2 wanted, retire 0");
    settings.graceful_timeout_ms = 5000;
    passes(1000);
    happens(EVENT_SETTINGS, 0, 0);
    passes(3999);
    assert_actions("");
    passes(1);
    assert_actions("kill 0");
}

static void who_outlives_sigkill_is_not_waited_for(void **state)
{
    (void)state;
    run();
    happens(EVENT_SCALE_BY, 0, -1);
    passes(settings.graceful_timeout_ms);
    assert_actions("kill 0");
    assert_int_equal(policy_live(&policy), 3);
    passes(POLICY_REAP_MS);
    assert_int_equal(policy_live(&policy), 2);
}

static void a_shorter_pause_and_a_lower_maximum_hold_at_once(void **state)
{
    (void)state;
    settings.workers_max = 5;
    settings.backoff_initial_ms = 10000;
    happens(EVENT_START, 0, 0);
    happens(EVENT_SCALE_TO, 0, 5);
    happens(EVENT_EXITED, 0, EXIT_CAUSE_SIGNAL);
    settings.backoff_initial_ms = settings.backoff_max_ms = 100;
    settings.workers_max = 4;
    happens(EVENT_SETTINGS, 0, 0);
    assert_actions("4 wanted");
    assert_true(policy.backoff.until_ms <= now_ms + 100);
}

/* ---- the check itself ---- */

static void put_into(struct slot *slot, enum slot_state state)
{
    policy.counts[slot->state]--;
    slot->state = state;
    policy.counts[state]++;
}

static void broken_invariants_are_found(void **state)
{
    (void)state;
    run();
    const struct policy good = policy;
    struct slot saved = slots[0];

    slots[0].incarnation = 0;
    assert_non_null(policy_check(&policy, now_ms));
    slots[0] = saved;
    slots[0].incarnation = 1000;
    assert_non_null(policy_check(&policy, now_ms));
    slots[0] = saved;
    slots[0].deadline_ms = now_ms - 1;
    assert_non_null(policy_check(&policy, now_ms));
    slots[0] = saved;
    policy.counts[SLOT_SERVING]--;
    assert_string_equal(policy_check(&policy, now_ms), "the counts are those of the slots");
    policy = good;
    slots[0].due = REASON_MAX_MEMORY;
    assert_string_equal(policy_check(&policy, now_ms), "the counts are those of the slots");
    slots[0] = saved;
    put_into(&slots[0], SLOT_RETIRING);
    assert_non_null(policy_check(&policy, now_ms));
    put_into(&slots[0], SLOT_ABORTING);
    assert_non_null(policy_check(&policy, now_ms));
    slots[0] = saved;
    policy = good;
    policy.wanted = policy.floor = 2;
    assert_non_null(policy_check(&policy, now_ms));
    policy = good;
    policy.backoff.until_ms = now_ms + 30001;
    assert_non_null(policy_check(&policy, now_ms));
    policy = good;
    policy.state = POOL_STOPPING;
    assert_non_null(policy_check(&policy, now_ms));
    for (uint32_t i = 0; i < 3; i++)
        put_into(&slots[i], SLOT_KILLING);
    assert_non_null(policy_check(&policy, now_ms));
    policy.stop_deadline_ms = now_ms;
    assert_null(policy_check(&policy, now_ms));
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup(function, setup)
    const struct CMUnitTest tests[] = {
        TEST(a_pool_starts_what_is_wanted),
        TEST(it_runs_when_the_first_worker_accepts),
        TEST(not_more_than_max_starting_start_at_a_time),
        TEST(a_static_pool_goes_on_with_the_number_set_by_hand),
        TEST(a_dynamic_pool_goes_on_with_as_many_as_there_are),
        TEST(counters_go_on),
        TEST(an_idle_pool_sleeps_for_good),
        TEST(start_timeout_aborts_then_kills),
        TEST(start_timeout_0_waits_for_ever),
        TEST(a_crash_is_replaced_at_once),
        TEST(exit_0_is_no_crash),
        TEST(a_worker_that_leaves_young_is_replaced_after_a_pause),
        TEST(a_worker_that_crashes_young_counts_as_a_failure),
        TEST(after_a_failure_starts_are_probes),
        TEST(failing_is_said_and_taken_back),
        TEST(a_failing_pool_that_needs_nobody_more_runs),
        TEST(a_failing_pool_that_lost_its_probe_after_the_row_ended_starts_again),
        TEST(scale_up_starts_and_scale_down_retires),
        TEST(who_does_not_serve_yet_is_retired_first),
        TEST(a_static_pool_scales_from_1_to_the_capacity),
        TEST(a_dynamic_pool_scales_its_floor_up_to_max),
        TEST(dying_workers_are_no_capacity_but_take_their_slots),
        TEST(a_retirement_is_cut_at_graceful_timeout),
        TEST(more_slots_keep_the_workers),
        TEST(an_event_of_a_former_incarnation_is_dropped),
        TEST(a_graceful_stop_serves_the_queue_then_retires),
        TEST(a_crash_in_a_stop_is_replaced_while_the_queue_waits),
        TEST(a_stop_ends_at_graceful_timeout),
        TEST(a_retirement_never_outlasts_the_stop),
        TEST(a_quick_stop_aborts_and_kills),
        TEST(a_quick_stop_waits_a_second_at_most),
        TEST(a_second_stop_is_a_quick_one),
        TEST(a_quick_stop_hurries_a_graceful_one),
        TEST(a_pool_without_workers_stops_at_once),
        TEST(a_pause_retires_all_and_a_resume_brings_them_back),
        TEST(in_a_pause_the_number_can_be_changed),
        TEST(a_resume_does_not_wait_for_the_backoff),
        TEST(a_paused_pool_stops_without_a_worker),
        TEST(a_paused_pool_that_stops_serves_its_queue),
        TEST(new_limits_hold_at_once),
        TEST(a_longer_graceful_timeout_holds_for_who_is_retiring),
        TEST(who_outlives_sigkill_is_not_waited_for),
        TEST(a_shorter_pause_and_a_lower_maximum_hold_at_once),
        TEST(broken_invariants_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
