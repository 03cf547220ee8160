/* The policy core, as a script: workers that reach a limit are replaced, new before old; requests that take
 * too long; what becomes of those who leave by themselves. */
#include "tests/unit/pool/script.h"

#include "pool/recycle.h"

/* The worker in `slot` has reached max_requests. */
static void is_due(uint32_t slot)
{
    happens(EVENT_RECYCLE, slot, REASON_MAX_REQUESTS);
}

static int setup_limits(void **state)
{
    setup(state);
    settings.max_requests = 1000;
    settings.max_memory = 1 << 20;
    return 0;
}

/* ---- new before old ---- */

static void who_is_due_serves_until_the_successor_accepts(void **state)
{
    (void)state;
    run();
    is_due(1);
    assert_actions("spawn 3");
    assert_int_equal(actions.items[0].reason, REASON_SUCCEED);
    assert_states(1, 3, 0);
    passes(500);
    assert_actions("");
    happens(EVENT_READY, 3, 0);
    assert_actions("retire 1");
    assert_int_equal(actions.items[0].reason, REASON_MAX_REQUESTS);
    assert_states(0, 3, 1);
    happens(EVENT_EXITED, 1, EXIT_CAUSE_CLEAN);
    assert_actions("");
    passes(POLICY_PROBATION_MS);
    assert_int_equal(policy_deadline(&policy), NEVER_MS);
    assert_int_equal(policy.stats.recycled_requests, 1);
    assert_int_equal(policy.stats.retired, 1);
    assert_int_equal(policy.stats.left, 0);
}

/* max_requests was raised: nobody goes for the old one. What is due for another reason stays so. */
static void who_is_forgiven_stays(void **state)
{
    (void)state;
    run();
    is_due(1);
    happens(EVENT_RECYCLE, 1, REASON_NONE);
    assert_actions("retire 3"); /* the successor is not needed any more */
    happens(EVENT_EXITED, 3, EXIT_CAUSE_CLEAN);
    happens(EVENT_RECYCLE, 2, REASON_MAX_MEMORY);
    assert_actions("spawn 3");
    happens(EVENT_RECYCLE, 2, REASON_NONE);
    assert_actions("");
    happens(EVENT_READY, 3, 0);
    assert_actions("retire 2");
}

static void to_be_due_twice_is_to_be_due(void **state)
{
    (void)state;
    run();
    is_due(1);
    is_due(1);
    assert_actions("");
    happens(EVENT_RECYCLE, 1, REASON_MAX_MEMORY);
    assert_actions("");
    happens(EVENT_READY, 3, 0);
    assert_actions("retire 1");
    assert_int_equal(slots[1].reason, REASON_MAX_REQUESTS);
    is_due(1);
    assert_actions("");
}

static void one_at_a_time_the_oldest_first(void **state)
{
    (void)state;
    run();
    is_due(2);
    is_due(1);
    is_due(0);
    assert_states(1, 3, 0);
    happens(EVENT_READY, 3, 0);
    assert_actions("retire 0"); /* and the next waits until it is gone */
    passes(100);
    assert_actions("");
    happens(EVENT_EXITED, 0, EXIT_CAUSE_SIGNAL);
    assert_actions("spawn 0");
    happens(EVENT_READY, 0, 0);
    assert_actions("retire 1");
    is_due(0); /* younger than 2 */
    happens(EVENT_EXITED, 1, EXIT_CAUSE_CLEAN);
    happens(EVENT_READY, 1, 0);
    assert_actions("retire 2");
}

static void as_many_as_max_recycling_allows(void **state)
{
    (void)state;
    settings.max_recycling = 2;
    run();
    for (uint32_t i = 0; i < 3; i++)
        is_due(i);
    assert_states(2, 3, 0);
    happens(EVENT_READY, 4, 0);
    assert_actions("retire 0");
    happens(EVENT_READY, 3, 0);
    assert_actions("retire 1");
    assert_states(0, 3, 2);
    happens(EVENT_EXITED, 1, EXIT_CAUSE_CLEAN);
    assert_actions("spawn 1");
}

static void a_lower_max_recycling_takes_successors_back(void **state)
{
    (void)state;
    settings.max_recycling = 2;
    run();
    is_due(0);
    is_due(1);
    settings.max_recycling = 1;
    happens(EVENT_SETTINGS, 0, 0);
    assert_actions("retire 3");
    happens(EVENT_READY, 4, 0);
    assert_actions("retire 0");
}

static void a_tenth_of_the_workers_are_replaced_at_a_time(void **state)
{
    (void)state;
    assert_int_equal(recycle_limit(&settings, 1), 1);
    assert_int_equal(recycle_limit(&settings, 9), 1);
    assert_int_equal(recycle_limit(&settings, 20), 2);
    assert_int_equal(recycle_limit(&settings, 4096), 409);
    settings.max_recycling = 3;
    assert_int_equal(recycle_limit(&settings, 20), 3);
    assert_int_equal(policy_slots_for(&settings, 20, 1), 25);
    assert_int_equal(policy_slots_for(&settings, 2, 1), 5); /* not more than there are */
}

static void successors_wait_for_max_starting(void **state)
{
    (void)state;
    settings.max_recycling = 3;
    run();
    settings.max_starting = 1;
    is_due(0);
    is_due(1);
    assert_actions("");
    happens(EVENT_READY, 3, 0);
    assert_actions("retire 0, spawn 4");
}

static void who_does_not_serve_yet_is_due_later(void **state)
{
    (void)state;
    happens(EVENT_START, 0, 0);
    is_due(0);
    assert_actions("");
    happens(EVENT_READY, 0, 0);
    assert_actions("spawn 3, =running");
}

static void who_outlives_sigkill_holds_up_nobody(void **state)
{
    (void)state;
    run();
    is_due(0);
    happens(EVENT_READY, 3, 0);
    is_due(1);
    passes(settings.graceful_timeout_ms);
    assert_actions("kill 0");
    passes(POLICY_REAP_MS);
    assert_actions("spawn 4");
    happens(EVENT_READY, 4, 0);
    assert_actions("retire 1");
    assert_int_equal(recycle_leaving(&policy), 1);
}

/* ---- what comes between ---- */

static void a_due_worker_that_crashes_has_a_successor(void **state)
{
    (void)state;
    run();
    is_due(1);
    happens(EVENT_EXITED, 1, EXIT_CAUSE_SIGNAL);
    assert_actions("");
    happens(EVENT_READY, 3, 0);
    assert_actions("");
    assert_states(0, 3, 0);
}

static void scale_down_takes_who_is_due(void **state)
{
    (void)state;
    run();
    is_due(2);
    happens(EVENT_READY, 3, 0);
    is_due(1); /* waits for the end of 2 */
    happens(EVENT_SCALE_BY, 0, -1);
    assert_actions("2 wanted, retire 1");
    assert_int_equal(slots[1].reason, REASON_SCALE_DOWN);
    assert_false(policy_is_settled(&policy));
    happens(EVENT_EXITED, 1, EXIT_CAUSE_CLEAN);
    assert_true(policy_is_settled(&policy)); /* though 2 is leaving still */
    assert_states(0, 2, 1);
}

static void scale_down_makes_the_successor_needless(void **state)
{
    (void)state;
    run();
    is_due(1);
    happens(EVENT_SCALE_BY, 0, -1);
    assert_actions("2 wanted, retire 3, retire 1");
    assert_states(0, 2, 2);
}

static void scale_up_is_done_while_others_are_replaced(void **state)
{
    (void)state;
    run();
    assert_true(policy_is_settled(&policy));
    is_due(1);
    assert_true(policy_is_settled(&policy));
    happens(EVENT_SCALE_BY, 0, 1);
    assert_actions("4 wanted, spawn 4");
    assert_false(policy_is_settled(&policy));
    assert_int_equal(actions.items[1].reason, REASON_SUCCEED);
    happens(EVENT_READY, 4, 0);
    assert_actions("");
    assert_true(policy_is_settled(&policy));
    happens(EVENT_READY, 3, 0);
    assert_actions("retire 1");
    assert_true(policy_is_settled(&policy));
}

static void a_pause_replaces_nobody(void **state)
{
    (void)state;
    run();
    is_due(1);
    happens(EVENT_PAUSE, 0, 0);
    assert_actions("retire 3, retire 1, retire 0, retire 2, =paused");
    is_due(2);
    assert_actions("");
    happens(EVENT_RESUME, 0, 0);
    assert_actions("spawn 4, spawn 5, spawn 6, =starting");
}

static void a_stop_replaces_nobody(void **state)
{
    (void)state;
    run();
    is_due(1);
    happens(EVENT_STOP, 0, 0);
    assert_actions("=stopping, refuse, retire 3");
    is_due(2);
    assert_actions("");
}

/* ---- when starts fail ---- */

static void who_is_due_stays_while_successors_fail(void **state)
{
    (void)state;
    settings.failures = 2;
    run();
    is_due(1);
    happens(EVENT_EXITED, 3, EXIT_CAUSE_CODE);
    assert_actions("");
    passes(policy_deadline(&policy) - now_ms);
    assert_actions("spawn 3");
    happens(EVENT_READY, 3, 0);
    assert_actions(""); /* it has to prove itself */
    happens(EVENT_EXITED, 3, EXIT_CAUSE_SIGNAL);
    assert_actions("=failing");
    assert_states(0, 3, 0);
    passes(policy_deadline(&policy) - now_ms);
    assert_actions("spawn 3");
    happens(EVENT_READY, 3, 0);
    assert_actions("");
    passes(POLICY_PROBATION_MS);
    assert_actions("retire 1, =running");
}

static void a_failing_pool_whose_limit_is_lifted_runs(void **state)
{
    (void)state;
    settings.failures = 1;
    run();
    is_due(1);
    happens(EVENT_SPAWN_FAILED, 3, 0);
    assert_actions("=failing");
    settings.max_requests = 0;
    happens(EVENT_SETTINGS, 0, 0);
    assert_actions("=running");
}

/* ---- limits ---- */

static void memory_is_a_limit(void **state)
{
    (void)state;
    run();
    happens(EVENT_RECYCLE, 1, REASON_MAX_MEMORY);
    happens(EVENT_READY, 3, 0);
    assert_int_equal(slots[1].reason, REASON_MAX_MEMORY);
    assert_int_equal(policy.stats.recycled_memory, 1);
}

static void age_is_a_limit(void **state)
{
    (void)state;
    int64_t began_ms = now_ms;
    settings.max_lifetime_ms = 60000;
    happens(EVENT_START, 0, 0);
    for (uint32_t i = 0; i < 3; i++)
        happens(EVENT_READY, i, 0);
    passes(POLICY_PROBATION_MS);
    assert_int_equal(policy_deadline(&policy), began_ms + 60000);
    passes(60000 - POLICY_PROBATION_MS);
    assert_actions("spawn 3"); /* all three are due */
    happens(EVENT_READY, 3, 0);
    assert_actions("retire 0");
    assert_int_equal(slots[0].reason, REASON_MAX_LIFETIME);
    assert_int_equal(policy.stats.recycled_lifetime, 1);
}

static void jitter_keeps_workers_from_going_together(void **state)
{
    (void)state;
    bool apart = false;
    settings.max_lifetime_ms = 60000;
    settings.max_lifetime_jitter_ms = 1000000;
    happens(EVENT_START, 0, 0);
    for (uint32_t i = 0; i < 3; i++) {
        happens(EVENT_READY, i, 0);
        int64_t life_ms = recycle_deadline(&policy, &slots[i]) - now_ms;
        assert_in_range(life_ms, 60000, 1060000);
        apart |= life_ms != recycle_deadline(&policy, &slots[0]) - now_ms;
    }
    assert_true(apart);
}

static void each_worker_has_a_limit_of_requests(void **state)
{
    (void)state;
    uint64_t low = UINT64_MAX, high = 0;
    run();
    assert_int_equal(policy_max_requests(&policy, 0), 1000);
    settings.max_requests_jitter = 3;
    for (int i = 0; i < 200; i++) {
        uint64_t limit = policy_max_requests(&policy, 0);
        low = limit < low ? limit : low;
        high = limit > high ? limit : high;
        assert_int_equal(limit, policy_max_requests(&policy, 0));
        recycle_draw(&policy, &slots[0]);
    }
    assert_int_equal(low, 1000);
    assert_int_equal(high, 1003);
    settings.max_requests_jitter = 1000000000;
    slots[0].requests_share = UINT32_MAX;
    assert_int_equal(policy_max_requests(&policy, 0), 1000001000);
    settings.max_requests = 0;
    assert_int_equal(policy_max_requests(&policy, 0), 0);
}

static void another_seed_is_other_jitter(void **state)
{
    (void)state;
    struct slot a, b, c;
    policy_init(&policy, &settings, slots, SLOTS, 1);
    recycle_draw(&policy, &a);
    policy_init(&policy, &settings, slots, SLOTS, 1);
    recycle_draw(&policy, &b);
    policy_init(&policy, &settings, slots, SLOTS, 2);
    recycle_draw(&policy, &c);
    assert_true(a.requests_share == b.requests_share && a.requests_share != c.requests_share);
}

static void a_limit_that_is_lifted_holds_nobody(void **state)
{
    (void)state;
    settings.max_recycling = 4;
    run();
    settings.max_lifetime_ms = 60000;
    is_due(0);
    happens(EVENT_RECYCLE, 1, REASON_MAX_MEMORY);
    happens(EVENT_OVERDUE, 2, 1);
    assert_states(3, 3, 0);
    happens(EVENT_SETTINGS, 0, 0);
    assert_actions("");
    settings.max_requests = 0;
    happens(EVENT_SETTINGS, 0, 0);
    assert_states(2, 3, 1);
    settings.max_memory = 0;
    happens(EVENT_SETTINGS, 0, 0);
    assert_states(1, 3, 2);
    settings.timeout_ms = 0;
    happens(EVENT_SETTINGS, 0, 0);
    assert_states(0, 3, 3);
    passes(60000); /* all three are too old */
    assert_states(3, 3, 3);
    settings.max_lifetime_ms = 1000000;
    happens(EVENT_SETTINGS, 0, 0);
    assert_states(0, 3, 6);
}

/* ---- requests that take too long ---- */

static void a_hung_worker_is_aborted_then_killed(void **state)
{
    (void)state;
    run();
    happens(EVENT_OVERDUE, 1, 0);
    assert_actions("abort 1, spawn 3");
    assert_int_equal(actions.items[0].reason, REASON_TIMEOUT);
    assert_int_equal(actions.items[1].reason, REASON_SUCCEED);
    happens(EVENT_OVERDUE, 1, 0);
    assert_actions("");
    passes(settings.abort_timeout_ms);
    assert_actions("kill 1");
    happens(EVENT_EXITED, 1, EXIT_CAUSE_SIGNAL);
    assert_actions("");
    assert_int_equal(policy.stats.timeouts, 1);
    assert_int_equal(policy.stats.aborted, 1);
    assert_int_equal(policy.stats.crashed, 0);
    assert_int_equal(policy.stats.recycled_timeout, 0);
}

static void beside_other_requests_it_is_replaced_first(void **state)
{
    (void)state;
    run();
    happens(EVENT_OVERDUE, 1, 4);
    assert_actions("spawn 3");
    happens(EVENT_READY, 3, 0);
    assert_actions("retire 1");
    assert_int_equal(policy.stats.recycled_timeout, 1);
    happens(EVENT_OVERDUE, 1, 1);
    assert_actions("");
    happens(EVENT_OVERDUE, 1, 0);
    assert_actions("abort 1");
    happens(EVENT_EXITED, 1, EXIT_CAUSE_SIGNAL);
    assert_actions("");
    assert_int_equal(policy.stats.timeouts, 1);
}

static void others_are_waited_for_as_long_as_timeout(void **state)
{
    (void)state;
    settings.timeout_ms = 5000;
    run();
    happens(EVENT_OVERDUE, 1, 4);
    passes(3000);
    happens(EVENT_OVERDUE, 1, 3); /* does not begin again */
    assert_int_equal(policy_deadline(&policy), now_ms + 2000);
    passes(1999);
    assert_actions("");
    passes(1);
    assert_actions("abort 1");
}

static void in_a_retirement_too(void **state)
{
    (void)state;
    settings.timeout_ms = 5000;
    run();
    happens(EVENT_SCALE_BY, 0, -1);
    assert_actions("2 wanted, retire 0");
    happens(EVENT_OVERDUE, 0, 4);
    assert_actions("");
    passes(5000);
    assert_actions("abort 0");
}

static void a_request_that_ends_late_is_forgiven(void **state)
{
    (void)state;
    settings.timeout_ms = 5000;
    run();
    happens(EVENT_OVERDUE, 1, 4);
    happens(EVENT_IN_TIME, 1, 0);
    passes(5000);
    assert_actions("");
    assert_states(1, 3, 0); /* but it is replaced */
}

static void a_timeout_that_was_lifted_aborts_nobody(void **state)
{
    (void)state;
    run();
    happens(EVENT_OVERDUE, 1, 4);
    settings.timeout_ms = 0;
    happens(EVENT_SETTINGS, 0, 0);
    assert_actions("retire 3");
    happens(EVENT_OVERDUE, 1, 0);
    assert_actions("");
    passes(100000);
    assert_states(0, 3, 1);
}

static void a_shorter_timeout_holds_at_once(void **state)
{
    (void)state;
    run();
    happens(EVENT_OVERDUE, 1, 4);
    passes(10000);
    settings.timeout_ms = 10000;
    happens(EVENT_SETTINGS, 0, 0);
    assert_actions("abort 1");
}

static void only_who_serves_or_retires_has_requests(void **state)
{
    (void)state;
    happens(EVENT_START, 0, 0);
    happens(EVENT_OVERDUE, 0, 0);
    assert_actions("");
    happens(EVENT_OVERDUE, 0, 2);
    assert_states(3, 0, 0);
    assert_int_equal(slots[0].overdue_ms, NEVER_MS);
}

static void late_events_about_limits_are_dropped(void **state)
{
    (void)state;
    run();
    happens(EVENT_EXITED, 1, EXIT_CAUSE_SIGNAL);
    static const enum event_type types[] = {EVENT_RECYCLE, EVENT_OVERDUE, EVENT_IN_TIME};
    for (int i = 0; i < 3; i++) {
        struct event late = {.type = types[i],
                             .now_ms = now_ms,
                             .slot = 1,
                             .incarnation = 2,
                             .number = i ? 0 : REASON_MAX_MEMORY};
        policy_step(&policy, &late, &actions);
        assert_actions("");
        assert_states(1, 2, 0);
    }
}

/* ---- those who leave by themselves ---- */

static void crashes_are_counted_by_cause(void **state)
{
    (void)state;
    run();
    happens(EVENT_EXITED, 0, EXIT_CAUSE_CODE);
    happens(EVENT_EXITED, 1, EXIT_CAUSE_SIGNAL);
    happens(EVENT_EXITED, 2, EXIT_CAUSE_CLEAN);
    assert_int_equal(policy.stats.crashed, 2);
    assert_int_equal(policy.stats.crashed_code, 1);
    assert_int_equal(policy.stats.crashed_signal, 1);
    assert_int_equal(policy.stats.left, 1);
}

static void who_has_served_is_replaced_without_a_pause(void **state)
{
    (void)state;
    run();
    for (int i = 0; i < 3; i++) {
        happens(EVENT_EXITED, 1, EXIT_CAUSE_SERVED);
        assert_actions("spawn 1");
        happens(EVENT_READY, 1, 0);
    }
    happens(EVENT_EXITED, 1, EXIT_CAUSE_SERVED);
    happens(EVENT_EXITED, 1, EXIT_CAUSE_SERVED); /* even before it was seen to accept */
    assert_actions("spawn 1");
    assert_int_equal(policy.stats.left, 5);
    assert_int_equal(policy.stats.start_failed, 0);
}

static void who_has_served_ends_a_row_of_failures(void **state)
{
    (void)state;
    settings.workers_min = settings.workers_max = 1;
    happens(EVENT_START, 0, 0);
    happens(EVENT_EXITED, 0, EXIT_CAUSE_CODE);
    passes(settings.backoff_initial_ms);
    happens(EVENT_READY, 0, 0);
    assert_int_equal(policy.backoff.failures, 1);
    happens(EVENT_EXITED, 0, EXIT_CAUSE_SERVED);
    assert_int_equal(policy.backoff.failures, 0);
}

/* ---- the check itself ---- */

static void broken_invariants_are_found(void **state)
{
    (void)state;
    run();
    settings.max_lifetime_ms = 60000;
    struct slot saved = slots[0];

    slots[0].spawned_ms -= 100000;
    assert_string_equal(policy_check(&policy, now_ms), "what is due was done");
    slots[0] = saved;
    slots[0].recycled = true;
    assert_non_null(policy_check(&policy, now_ms));
    slots[0].state = SLOT_RETIRING;
    policy.counts[SLOT_SERVING]--;
    policy.counts[SLOT_RETIRING]++;
    slots[0].deadline_ms = now_ms;
    assert_null(policy_check(&policy, now_ms));
    policy.wanted = policy.floor = 1;
    assert_string_equal(policy_check(&policy, now_ms), "no more under replacement than max_recycling");
    policy.draining = true;
    policy.state = POOL_STOPPING;
    assert_non_null(policy_check(&policy, now_ms));
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup(function, setup_limits)
    const struct CMUnitTest tests[] = {
        TEST(who_is_due_serves_until_the_successor_accepts),
        TEST(who_is_forgiven_stays),
        TEST(to_be_due_twice_is_to_be_due),
        TEST(one_at_a_time_the_oldest_first),
        TEST(as_many_as_max_recycling_allows),
        TEST(a_lower_max_recycling_takes_successors_back),
        TEST(a_tenth_of_the_workers_are_replaced_at_a_time),
        TEST(successors_wait_for_max_starting),
        TEST(who_does_not_serve_yet_is_due_later),
        TEST(who_outlives_sigkill_holds_up_nobody),
        TEST(a_due_worker_that_crashes_has_a_successor),
        TEST(scale_down_takes_who_is_due),
        TEST(scale_down_makes_the_successor_needless),
        TEST(scale_up_is_done_while_others_are_replaced),
        TEST(a_pause_replaces_nobody),
        TEST(a_stop_replaces_nobody),
        TEST(who_is_due_stays_while_successors_fail),
        TEST(a_failing_pool_whose_limit_is_lifted_runs),
        TEST(memory_is_a_limit),
        TEST(age_is_a_limit),
        TEST(jitter_keeps_workers_from_going_together),
        TEST(each_worker_has_a_limit_of_requests),
        TEST(another_seed_is_other_jitter),
        TEST(a_limit_that_is_lifted_holds_nobody),
        TEST(a_hung_worker_is_aborted_then_killed),
        TEST(beside_other_requests_it_is_replaced_first),
        TEST(others_are_waited_for_as_long_as_timeout),
        TEST(in_a_retirement_too),
        TEST(a_request_that_ends_late_is_forgiven),
        TEST(a_timeout_that_was_lifted_aborts_nobody),
        TEST(a_shorter_timeout_holds_at_once),
        TEST(only_who_serves_or_retires_has_requests),
        TEST(late_events_about_limits_are_dropped),
        TEST(crashes_are_counted_by_cause),
        TEST(who_has_served_is_replaced_without_a_pause),
        TEST(who_has_served_ends_a_row_of_failures),
        TEST(broken_invariants_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
