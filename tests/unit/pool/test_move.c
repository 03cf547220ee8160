/* The policy core, as a script: a generation that serves at another address, from its canary to the end of
 * the address before; and back. */
#include "pool/move.h"
#include "tests/unit/pool/script.h"

/* Three workers of the first generation at address 0, and the canary of the second, at address 2, in slot 3.
 */
static void begin(void)
{
    run();
    happens(EVENT_ROLL_OUT, 0, 2);
    assert_actions("spawn 3");
    assert_int_equal(slots[3].place, 2);
    assert_int_equal(policy.place, 0);
}

/* The canary accepts, and two more start beside the others. */
static void prove(void)
{
    begin();
    happens(EVENT_READY, 3, 0);
    assert_actions("proved, spawn 4, spawn 5");
    assert_int_equal(slots[4].generation, 2);
    assert_int_equal(slots[4].place, 2);
    assert_int_equal(policy.place, 2);
}

/* All of them serve. */
static void refuse(void)
{
    prove();
    happens(EVENT_READY, 4, 0);
    assert_actions("");
    happens(EVENT_READY, 5, 0);
    assert_actions("refuse");
    assert_int_equal(actions.items[0].reason, REASON_MOVED);
}

static void leaves(uint32_t slot)
{
    happens(EVENT_EXITED, slot, EXIT_CAUSE_CLEAN);
}

static void fails(uint32_t slot)
{
    happens(EVENT_EXITED, slot, EXIT_CAUSE_CODE);
}

static void gone(uint32_t first, uint32_t last)
{
    for (uint32_t i = first; i <= last; i++)
        leaves(i);
}

/* ---- forward ---- */

static void all_beside_then_all_at_once(void **state)
{
    (void)state;
    refuse();
    assert_states(0, 6, 0);
    happens(EVENT_DRAINED, 0, 0);
    assert_actions("retire 0, retire 1, retire 2");
    assert_int_equal(actions.items[0].reason, REASON_MOVED);
    gone(0, 1);
    assert_actions("");
    leaves(2);
    assert_actions("done");
    assert_states(0, 3, 0);
    assert_int_equal(policy.stats.recycled_reload, 3);
    assert_int_equal(policy.stats.crashed + policy.stats.left, 0);
    passes(POLICY_PROBATION_MS);
    assert_int_equal(policy_deadline(&policy), NEVER_MS);
}

static void who_exits_at_the_former_address_is_replaced_there(void **state)
{
    (void)state;
    prove();
    happens(EVENT_EXITED, 1, EXIT_CAUSE_SIGNAL);
    assert_actions("spawn 1");
    assert_int_equal(slots[1].generation, 1);
    assert_int_equal(slots[1].place, 0);
    happens(EVENT_READY, 1, 0);
    happens(EVENT_READY, 4, 0);
    happens(EVENT_READY, 5, 0);
    assert_actions("refuse");
    happens(EVENT_EXITED, 0, EXIT_CAUSE_SERVED); /* what waits there is served */
    assert_actions("spawn 0");
    assert_int_equal(slots[0].place, 0);
}

/* Its program may be gone by now. */
static void but_not_again_and_again(void **state)
{
    (void)state;
    prove();
    happens(EVENT_EXITED, 1, EXIT_CAUSE_SIGNAL);
    fails(1);
    assert_actions("");
    assert_int_equal(policy.backoff.failures, 0);
    happens(EVENT_EXITED, 0, EXIT_CAUSE_SIGNAL);
    assert_actions("");
    passes(POLICY_PROBATION_MS);
    assert_actions("spawn 0, spawn 1");
    assert_int_equal(slots[0].generation, 2); /* which works */
    assert_int_equal(slots[0].place, 0);
}

static void nor_at_once_when_it_has_left_soon(void **state)
{
    (void)state;
    prove();
    happens(EVENT_EXITED, 1, EXIT_CAUSE_SIGNAL);
    happens(EVENT_READY, 1, 0);
    leaves(1);
    assert_actions("");
    assert_int_equal(policy_deadline(&policy), now_ms + POLICY_PROBATION_MS);
    passes(POLICY_PROBATION_MS);
    assert_actions("spawn 1");
    assert_int_equal(slots[1].generation, 1);
}

/* It had a request, so it works. */
static void unless_it_has_served(void **state)
{
    (void)state;
    prove();
    happens(EVENT_EXITED, 1, EXIT_CAUSE_SIGNAL);
    happens(EVENT_READY, 1, 0);
    happens(EVENT_EXITED, 1, EXIT_CAUSE_SERVED);
    assert_actions("spawn 1");
}

/* Who starts at one address does not wait for those who start at the other. */
static void max_starting_holds_at_each_address(void **state)
{
    (void)state;
    settings.max_starting = 1;
    begin();
    happens(EVENT_READY, 3, 0);
    assert_actions("proved, spawn 4");
    happens(EVENT_EXITED, 0, EXIT_CAUSE_SIGNAL);
    assert_actions("spawn 0");
    happens(EVENT_EXITED, 1, EXIT_CAUSE_SIGNAL);
    assert_actions("");
    happens(EVENT_READY, 4, 0);
    assert_actions("spawn 1");
    assert_int_equal(slots[1].place, 2);
    happens(EVENT_READY, 0, 0);
    assert_actions("spawn 5");
    assert_int_equal(slots[5].place, 0);
}

static void probation_there_proves_nothing_here(void **state)
{
    (void)state;
    prove();
    passes(POLICY_PROBATION_MS - 10);
    happens(EVENT_EXITED, 1, EXIT_CAUSE_SIGNAL);
    happens(EVENT_READY, 1, 0);
    passes(POLICY_PROBATION_MS - 10);
    fails(4);
    passes(10);
    assert_int_equal(slots[1].deadline_ms, NEVER_MS);
    assert_int_equal(policy.backoff.failures, 1);
}

static void more_are_wanted_at_both(void **state)
{
    (void)state;
    prove();
    happens(EVENT_SCALE_BY, 0, 1);
    assert_actions("4 wanted, spawn 6, spawn 7");
    assert_int_equal(slots[6].place, 0);
    assert_int_equal(slots[7].place, 2);
    happens(EVENT_SCALE_TO, 0, 2);
    assert_actions("2 wanted, retire 4, retire 5"); /* who is there, at the address that is left, stays */
    assert_int_equal(policy_capacity(&policy), 2);
}

static void who_is_there_is_not_recycled(void **state)
{
    (void)state;
    settings.max_requests = 10;
    prove();
    happens(EVENT_RECYCLE, 0, REASON_MAX_REQUESTS);
    assert_actions("");
    happens(EVENT_RECYCLE, 3, REASON_MAX_REQUESTS);
    assert_actions("spawn 6");
    happens(EVENT_READY, 4, 0);
    happens(EVENT_READY, 5, 0);
    assert_actions("refuse");
    happens(EVENT_READY, 6, 0);
    assert_actions("retire 3");
    happens(EVENT_DRAINED, 0, 0);
    assert_actions("retire 0, retire 1, retire 2");
}

static void what_waits_for_too_long_is_given_up(void **state)
{
    (void)state;
    refuse();
    passes(settings.graceful_timeout_ms - 1);
    assert_actions("");
    assert_int_equal(policy_deadline(&policy), now_ms + 1);
    passes(1);
    assert_actions("retire 0, retire 1, retire 2");
    gone(0, 2);
    assert_actions("done");
}

static void a_lower_limit_holds_at_once(void **state)
{
    (void)state;
    refuse();
    settings.graceful_timeout_ms = 100;
    happens(EVENT_SETTINGS, 0, 0);
    passes(100);
    assert_actions("retire 0, retire 1, retire 2");
}

static void a_pool_without_workers_moves_at_once(void **state)
{
    (void)state;
    settings.workers_min = 0;
    happens(EVENT_START, 0, 0);
    happens(EVENT_ROLL_OUT, 0, 2);
    assert_actions("spawn 0");
    happens(EVENT_READY, 0, 0);
    assert_actions("proved, retire 0, refuse");
    happens(EVENT_DRAINED, 0, 0);
    assert_actions("done");
}

/* Even SIGKILL does not end it; the pool does not wait. */
static void who_cannot_be_ended_is_left_behind(void **state)
{
    (void)state;
    refuse();
    happens(EVENT_DRAINED, 0, 0);
    gone(0, 1);
    passes(settings.graceful_timeout_ms);
    assert_actions("kill 2");
    passes(POLICY_REAP_MS);
    assert_actions("done");
}

/* ---- back ---- */

static void a_canary_that_fails_changes_nothing(void **state)
{
    (void)state;
    begin();
    fails(3);
    assert_actions("back, refuse");
    assert_states(0, 3, 0);
    assert_int_equal(policy.place, 0);
    happens(EVENT_DRAINED, 0, 2);
    assert_actions("");
    assert_false(move_is_under_way(&policy));
}

/* Who knows both addresses may have gone to the new one. */
static void what_waits_for_a_canary_that_fails_is_served(void **state)
{
    (void)state;
    begin();
    fails(3);
    happens(EVENT_QUEUE_WAITING, 0, 2);
    assert_actions("spawn 3, spawn 4, spawn 5");
    assert_int_equal(slots[3].generation, 1);
    assert_int_equal(slots[3].place, 2);
    happens(EVENT_READY, 3, 0);
    happens(EVENT_DRAINED, 0, 2);
    assert_actions("retire 3, retire 4, retire 5");
}

static void what_waits_for_nobody_is_served_by_one(void **state)
{
    (void)state;
    settings.workers_min = 0;
    happens(EVENT_START, 0, 0);
    happens(EVENT_ROLL_OUT, 0, 2);
    fails(0);
    happens(EVENT_QUEUE_WAITING, 0, 2);
    assert_actions("spawn 0");
    happens(EVENT_QUEUE_WAITING, 0, 3); /* nothing is left there */
    assert_actions("");
}

/* The last generation that all workers were of, not one that was on its way. */
static void the_way_back_leads_to_the_whole_pool(void **state)
{
    (void)state;
    settings.failures = 1;
    prove();
    happens(EVENT_ROLL_OUT, 0, 2);
    happens(EVENT_READY, 6, 0);
    assert_int_equal(policy.generation, 3);
    happens(EVENT_SPAWN_FAILED, 7, 0);
    assert_int_equal(policy.generation, 1);
    assert_int_equal(policy.place, 0);
}

/* Though others are started there, for those of the first do not start any more. */
static void and_to_the_generation_that_was_whole(void **state)
{
    (void)state;
    settings.failures = 1;
    prove();
    happens(EVENT_EXITED, 1, EXIT_CAUSE_SIGNAL);
    fails(1);
    assert_true(move_starts(&policy, 2));
    happens(EVENT_ROLL_OUT, 0, 2);
    happens(EVENT_READY, 1, 0);
    assert_int_equal(policy.generation, 3);
    fails(1);
    assert_int_equal(policy.generation, 1);
    assert_int_equal(policy.place, 0);
}

static void a_generation_that_fails_later_is_left_as_well(void **state)
{
    (void)state;
    settings.failures = 1;
    prove();
    fails(4);
    assert_actions("back, refuse");
    assert_int_equal(policy.generation, 1);
    assert_int_equal(policy.place, 0);
    happens(EVENT_DRAINED, 0, 2);
    assert_actions("retire 3, retire 5");
    leaves(3);
    leaves(5);
    assert_actions("");
    assert_states(0, 3, 0);
    assert_false(move_is_under_way(&policy));
    happens(EVENT_EXITED, 0, EXIT_CAUSE_SIGNAL);
    assert_int_equal(slots[0].place, 0);
}

static void there_is_no_way_back_to_an_address_that_refuses(void **state)
{
    (void)state;
    settings.failures = 1;
    refuse();
    fails(4);
    assert_actions("=failing");
    assert_int_equal(policy.generation, 2);
}

static void it_is_not_left_while_others_fail_to_start(void **state)
{
    (void)state;
    prove();
    happens(EVENT_READY, 4, 0);
    fails(4);
    assert_int_equal(policy.backoff.failures, 1);
    happens(EVENT_READY, 5, 0);
    passes(policy.backoff.until_ms - now_ms);
    assert_actions("spawn 4");
    happens(EVENT_READY, 4, 0);
    assert_actions("");
    passes(POLICY_PROBATION_MS);
    assert_actions("refuse");
}

/* ---- another reload in the middle ---- */

static void another_canary_takes_its_place(void **state)
{
    (void)state;
    begin();
    happens(EVENT_ROLL_OUT, 0, 3);
    assert_actions("retire 3, spawn 4, refuse");
    assert_int_equal(slots[4].place, 3);
    happens(EVENT_READY, 4, 0);
    assert_actions("proved, spawn 5, spawn 6");
    assert_int_equal(policy.place, 3);
}

static void back_to_the_address_before(void **state)
{
    (void)state;
    prove();
    happens(EVENT_READY, 4, 0);
    happens(EVENT_ROLL_OUT, 0, 0);
    assert_actions("spawn 6");
    happens(EVENT_READY, 5, 0);
    assert_actions(""); /* the one that may be the right one again is not refused */
    happens(EVENT_READY, 6, 0);
    assert_actions("proved, retire 0, refuse");
    assert_int_equal(actions.items[1].reason, REASON_GENERATION);
    assert_int_equal(policy.place, 0);
    happens(EVENT_DRAINED, 0, 2);
    assert_actions("retire 3, retire 4, retire 5");
    leaves(0);
    assert_actions("spawn 0"); /* those of the first, one by one */
    assert_int_equal(slots[0].generation, 3);
}

static void the_way_back_fails(void **state)
{
    (void)state;
    prove();
    happens(EVENT_ROLL_OUT, 0, 0);
    assert_actions("spawn 6");
    fails(6);
    assert_actions("back");
    assert_true(move_find(&policy, 0)->whole);
    happens(EVENT_READY, 4, 0);
    happens(EVENT_READY, 5, 0);
    assert_actions("refuse");
}

static void a_third_address(void **state)
{
    (void)state;
    prove();
    happens(EVENT_ROLL_OUT, 0, 3);
    assert_actions("spawn 6");
    happens(EVENT_READY, 6, 0);
    assert_actions("proved, spawn 7, spawn 8, refuse"); /* at the second one, which never was whole */
    assert_true(move_find(&policy, 2)->refusing && !move_find(&policy, 0)->refusing);
    assert_true(move_starts(&policy, 1) && move_starts(&policy, 2) && !move_starts(&policy, 3));
    fails(1);
    assert_actions("spawn 1");
    assert_int_equal(slots[1].generation, 1);
    happens(EVENT_READY, 7, 0);
    happens(EVENT_READY, 8, 0);
    assert_actions("refuse");
    happens(EVENT_DRAINED, 0, 2);
    assert_actions("retire 3, retire 4, retire 5");
    happens(EVENT_DRAINED, 0, 0);
    assert_actions("retire 0, retire 1, retire 2");
    gone(3, 5);
    gone(0, 2);
    assert_actions("done");
}

static void a_third_one_while_the_first_is_drained(void **state)
{
    (void)state;
    refuse();
    happens(EVENT_ROLL_OUT, 0, 3);
    assert_actions("spawn 6");
    happens(EVENT_READY, 6, 0);
    assert_actions("proved, spawn 7, spawn 8");
    happens(EVENT_DRAINED, 0, 0);
    assert_actions("retire 0, retire 1, retire 2");
    happens(EVENT_READY, 7, 0);
    happens(EVENT_READY, 8, 0);
    assert_actions("refuse");
    happens(EVENT_DRAINED, 0, 2);
    assert_actions("retire 3, retire 4, retire 5");
}

static void the_end_while_another_is_tried(void **state)
{
    (void)state;
    refuse();
    happens(EVENT_DRAINED, 0, 0);
    happens(EVENT_ROLL_OUT, 0, 3);
    assert_actions("spawn 6");
    gone(0, 2);
    assert_actions("done");
}

static void another_generation_at_the_same_new_address(void **state)
{
    (void)state;
    settings.failures = 1;
    prove();
    happens(EVENT_READY, 4, 0);
    happens(EVENT_READY, 5, 0);
    happens(EVENT_DRAINED, 0, 0);
    happens(EVENT_ROLL_OUT, 0, 2);
    gone(0, 2);
    assert_actions("done");
    for (uint32_t i = 0; i < SLOTS; i++)
        if (slots[i].state == SLOT_STARTING)
            happens(EVENT_READY, i, 0);
    assert_int_equal(policy.generation, 3);
    assert_false(move_is_under_way(&policy));
}

/* ---- pause and stop ---- */

static void a_pause_ends_the_trial(void **state)
{
    (void)state;
    begin();
    happens(EVENT_PAUSE, 0, 0);
    assert_states(0, 0, 4);
    assert_int_equal(policy.place, 0);
}

/* Nobody has served meanwhile, so connections may wait at both. */
static void a_pause_while_others_follow(void **state)
{
    (void)state;
    prove();
    happens(EVENT_PAUSE, 0, 0);
    assert_states(0, 0, 6);
    gone(0, 5);
    happens(EVENT_RESUME, 0, 0);
    assert_states(6, 0, 0);
    uint32_t elsewhere = 0;
    for (uint32_t i = 0; i < 6; i++)
        elsewhere += slots[i].place == 0;
    assert_int_equal(elsewhere, 3);
}

static void no_time_passes_in_a_pause(void **state)
{
    (void)state;
    refuse();
    happens(EVENT_PAUSE, 0, 0);
    gone(0, 5);
    passes(10 * settings.graceful_timeout_ms);
    assert_actions("");
    assert_int_equal(policy_deadline(&policy), NEVER_MS);
    happens(EVENT_RESUME, 0, 0);
    assert_states(6, 0, 0);
    passes(settings.graceful_timeout_ms - 1);
    assert_int_equal(policy_count(&policy, SLOT_RETIRING), 0);
}

static void a_move_in_a_pause(void **state)
{
    (void)state;
    run();
    happens(EVENT_PAUSE, 0, 0);
    gone(0, 2);
    happens(EVENT_ROLL_OUT, 0, 2);
    assert_actions("proved");
    happens(EVENT_RESUME, 0, 0);
    assert_states(6, 0, 0);
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(slots[i].generation, 2); /* what waits at either is served by the new ones */
        happens(EVENT_READY, i, 0);
    }
    assert_actions("refuse");
}

static void a_stop_serves_what_waits_at_both(void **state)
{
    (void)state;
    prove();
    happens(EVENT_STOP, 0, 0);
    assert_actions("=stopping, refuse");
    assert_int_equal(actions.items[1].reason, REASON_STOP);
    happens(EVENT_EXITED, 0, EXIT_CAUSE_SIGNAL);
    assert_actions("spawn 0");
    assert_int_equal(slots[0].place, 0);
    happens(EVENT_DRAINED, 0, 2);
    assert_actions("retire 4, retire 5, retire 3");
    assert_int_equal(actions.items[0].reason, REASON_STOP);
    gone(3, 5);
    assert_actions(""); /* nobody is needed there any more */
    happens(EVENT_QUEUE_EMPTY, 0, 0);
    assert_actions("retire 0, retire 1, retire 2");
    gone(0, 2);
    assert_actions("=stopped");
}

static void a_stop_that_drains_the_former_address_first(void **state)
{
    (void)state;
    refuse();
    happens(EVENT_STOP, 0, 0);
    assert_int_equal(policy_deadline(&policy), now_ms + POLICY_PROBATION_MS);
    happens(EVENT_DRAINED, 0, 0);
    assert_actions("retire 0, retire 1, retire 2");
    happens(EVENT_EXITED, 3, EXIT_CAUSE_SERVED);
    assert_actions("spawn 3");
    assert_int_equal(slots[3].place, 2);
    happens(EVENT_QUEUE_EMPTY, 0, 0);
    assert_actions("retire 3, retire 4, retire 5");
}

static void a_quick_stop_ends_all(void **state)
{
    (void)state;
    prove();
    happens(EVENT_STOP_QUICK, 0, 0);
    assert_actions("=stopping, refuse, abort 0, abort 1, abort 2, abort 3, abort 4, abort 5");
}

static void broken_invariants_are_found(void **state)
{
    (void)state;
    const char *expected =
        "there is a way back to where the whole pool serves, and to no address that was left";
    prove();
    policy.fallback = 0;
    assert_string_equal(policy_check(&policy, now_ms), expected);
    policy.fallback = 1;
    policy.fallback_place = 2; /* in effect, but the pool is whole elsewhere */
    assert_string_equal(policy_check(&policy, now_ms), expected);
    policy.fallback_place = 0;
    happens(EVENT_READY, 4, 0);
    happens(EVENT_READY, 5, 0);
    policy.fallback = 1; /* there connections are refused */
    assert_string_equal(policy_check(&policy, now_ms), expected);
    policy.fallback_place = 7;
    assert_string_equal(policy_check(&policy, now_ms), expected);
    policy.fallback = 0;
    happens(EVENT_DRAINED, 0, 0);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_beside_then_all_at_once),
        TEST(who_exits_at_the_former_address_is_replaced_there),
        TEST(but_not_again_and_again),
        TEST(nor_at_once_when_it_has_left_soon),
        TEST(unless_it_has_served),
        TEST(max_starting_holds_at_each_address),
        TEST(probation_there_proves_nothing_here),
        TEST(more_are_wanted_at_both),
        TEST(who_is_there_is_not_recycled),
        TEST(what_waits_for_too_long_is_given_up),
        TEST(a_lower_limit_holds_at_once),
        TEST(a_pool_without_workers_moves_at_once),
        TEST(who_cannot_be_ended_is_left_behind),
        TEST(a_canary_that_fails_changes_nothing),
        TEST(what_waits_for_a_canary_that_fails_is_served),
        TEST(what_waits_for_nobody_is_served_by_one),
        TEST(the_way_back_leads_to_the_whole_pool),
        TEST(and_to_the_generation_that_was_whole),
        TEST(a_generation_that_fails_later_is_left_as_well),
        TEST(there_is_no_way_back_to_an_address_that_refuses),
        TEST(it_is_not_left_while_others_fail_to_start),
        TEST(another_canary_takes_its_place),
        TEST(back_to_the_address_before),
        TEST(the_way_back_fails),
        TEST(a_third_address),
        TEST(a_third_one_while_the_first_is_drained),
        TEST(the_end_while_another_is_tried),
        TEST(another_generation_at_the_same_new_address),
        TEST(a_pause_ends_the_trial),
        TEST(a_pause_while_others_follow),
        TEST(no_time_passes_in_a_pause),
        TEST(a_move_in_a_pause),
        TEST(a_stop_serves_what_waits_at_both),
        TEST(a_stop_that_drains_the_former_address_first),
        TEST(a_quick_stop_ends_all),
        TEST(broken_invariants_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
