/* The policy core, as a script: a new generation of workers, from its canary to the last one that is
 * replaced; and back. */
#include "tests/unit/pool/script.h"

/* Three workers of the first generation, and the canary of the second in slot 3. */
static void begin(void)
{
    run();
    happens(EVENT_ROLL_OUT, 0, 0);
    assert_actions("spawn 3");
    assert_int_equal(actions.items[0].reason, REASON_CANARY);
    assert_int_equal(slots[3].generation, 2);
    assert_int_equal(policy.generation, 1);
}

static void leaves(uint32_t slot)
{
    happens(EVENT_EXITED, slot, EXIT_CAUSE_CLEAN);
}

/* ---- forward ---- */

static void the_canary_first_then_one_after_the_other(void **state)
{
    (void)state;
    begin();
    passes(5000);
    assert_actions("");
    happens(EVENT_READY, 3, 0);
    assert_actions("proved, retire 0");
    assert_int_equal(actions.items[1].reason, REASON_GENERATION);
    leaves(0);
    assert_actions("spawn 0");
    assert_int_equal(slots[0].generation, 2);
    happens(EVENT_READY, 0, 0);
    assert_actions("retire 1");
    leaves(1);
    happens(EVENT_READY, 1, 0);
    assert_actions("retire 2, done");
    leaves(2);
    assert_actions("");
    assert_states(0, 3, 0);
    assert_int_equal(policy.stats.recycled_reload, 3);
    assert_int_equal(policy.stats.crashed, 0);
}

static void so_many_at_a_time_as_may_be_recycled(void **state)
{
    (void)state;
    settings.max_recycling = 2;
    begin();
    happens(EVENT_READY, 3, 0);
    assert_actions("proved, retire 0, spawn 4");
    happens(EVENT_READY, 4, 0);
    assert_actions("retire 1");
    leaves(0);
    assert_actions("spawn 0");
    happens(EVENT_READY, 0, 0);
    assert_actions("retire 2, done");
}

/* While the canary has not accepted, who is missing is replaced by what is known to work. */
static void others_are_of_the_former_generation_meanwhile(void **state)
{
    (void)state;
    begin();
    happens(EVENT_EXITED, 1, EXIT_CAUSE_SIGNAL);
    assert_actions("spawn 1");
    assert_int_equal(slots[1].generation, 1);
    happens(EVENT_READY, 3, 0);
    assert_actions("retire 1, proved, spawn 4"); /* it need not start any more */
    assert_int_equal(actions.items[0].reason, REASON_SUPERSEDED);
    assert_int_equal(slots[4].generation, 2);
    happens(EVENT_READY, 4, 0);
    assert_actions("retire 0");
}

static void a_pool_without_workers_tries_one(void **state)
{
    (void)state;
    settings.workers_min = 0;
    happens(EVENT_START, 0, 0);
    happens(EVENT_ROLL_OUT, 0, 0);
    assert_actions("spawn 0");
    happens(EVENT_READY, 0, 0);
    assert_actions("proved, retire 0, done");
    assert_int_equal(policy.generation, 2);
}

static void in_a_pause_it_is_in_effect_at_once(void **state)
{
    (void)state;
    run();
    happens(EVENT_PAUSE, 0, 0);
    for (uint32_t i = 0; i < 3; i++)
        leaves(i);
    happens(EVENT_ROLL_OUT, 0, 0);
    assert_actions("proved");
    happens(EVENT_RESUME, 0, 0);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(slots[i].generation, 2);
        happens(EVENT_READY, i, 0);
    }
    assert_actions("done");
}

/* It served and left, as at a limit of its own, before anybody saw it accept. */
static void a_canary_that_was_fast_has_proved_itself(void **state)
{
    (void)state;
    begin();
    happens(EVENT_EXITED, 3, EXIT_CAUSE_SERVED);
    assert_actions("proved, spawn 3");
    assert_int_equal(slots[3].generation, 2);
}

/* ---- back ---- */

static void a_canary_that_fails_changes_nothing(void **state)
{
    (void)state;
    begin();
    happens(EVENT_EXITED, 3, EXIT_CAUSE_CODE);
    assert_actions("back");
    assert_int_equal(actions.items[0].reason, REASON_CANARY_FAILED);
    assert_states(0, 3, 0);
    assert_int_equal(policy.backoff.failures, 0);
    assert_int_equal(policy.generation, 1);
    assert_int_equal(policy.stats.rolled_back, 1);
    happens(EVENT_EXITED, 0, EXIT_CAUSE_SIGNAL);
    assert_int_equal(slots[0].generation, 1);
}

static void a_canary_that_never_accepts_is_ended(void **state)
{
    (void)state;
    begin();
    passes(settings.start_timeout_ms);
    assert_actions("back, abort 3");
    assert_int_equal(actions.items[0].reason, REASON_START_TIMEOUT);
}

static void a_canary_that_cannot_be_started_has_failed(void **state)
{
    (void)state;
    begin();
    happens(EVENT_SPAWN_FAILED, 3, 0);
    assert_actions("back");
    assert_states(0, 3, 0);
}

/* Three fail in a row: the others stay, and those of the new generation are replaced. */
static void a_generation_that_fails_later_is_taken_back(void **state)
{
    (void)state;
    settings.failures = 3;
    begin();
    happens(EVENT_READY, 3, 0);
    leaves(0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(policy.generation, 2);
        happens(EVENT_EXITED, 0, EXIT_CAUSE_CODE);
        if (i < 2)
            passes(policy.backoff.until_ms - now_ms);
    }
    assert_actions("back, spawn 0");
    assert_int_equal(actions.items[0].reason, REASON_FAILING);
    assert_int_equal(slots[0].generation, 1);
    assert_int_equal(policy.state, POOL_RUNNING);
    happens(EVENT_READY, 0, 0);
    assert_actions("retire 3");
    leaves(3);
    assert_states(0, 3, 0);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(slots[i].generation, 1);
}

/* Its address may be left already. */
static void in_a_stop_there_is_no_way_back(void **state)
{
    (void)state;
    settings.failures = 1;
    begin();
    happens(EVENT_READY, 3, 0);
    leaves(0);
    assert_int_equal(policy.fallback, 1);
    happens(EVENT_STOP, 0, 0);
    happens(EVENT_EXITED, 3, EXIT_CAUSE_CODE);
    assert_int_equal(policy.backoff.failures, 1);
    assert_int_equal(policy.generation, 2);
    assert_int_equal(policy.stats.rolled_back, 0);
}

/* Who was due for its generation only is not any more, but for its age. */
static void who_has_become_old_meanwhile_is_due_for_that(void **state)
{
    (void)state;
    settings.failures = 1;
    begin();
    settings.max_lifetime_ms = 10000;
    happens(EVENT_SETTINGS, 0, 0);
    happens(EVENT_READY, 3, 0);
    leaves(0);
    passes(settings.max_lifetime_ms);
    assert_int_equal(slots[1].due, REASON_GENERATION);
    happens(EVENT_EXITED, 0, EXIT_CAUSE_CODE);
    assert_int_equal(policy.generation, 1);
    assert_int_equal(slots[1].due, REASON_MAX_LIFETIME);
}

static void broken_invariants_are_found(void **state)
{
    (void)state;
    begin();
    slots[0].generation = 2;
    assert_string_equal(policy_check(&policy, now_ms), "there is one canary");
    slots[0].generation = 3;
    assert_string_equal(policy_check(&policy, now_ms), "generations come from the pool's serial");
    slots[0].generation = 0;
    assert_string_equal(policy_check(&policy, now_ms), "who is of a former generation is due");
    slots[0].generation = 1;
    slots[0].place = 1;
    assert_string_equal(policy_check(&policy, now_ms),
                        "an address where somebody serves is in effect, or left");
    slots[0].place = 0;
    assert_null(policy_check(&policy, now_ms));
}

static void what_fails_of_a_former_generation_does_not_count(void **state)
{
    (void)state;
    begin();
    happens(EVENT_EXITED, 1, EXIT_CAUSE_SIGNAL);
    happens(EVENT_EXITED, 1, EXIT_CAUSE_CODE);
    assert_int_equal(policy.backoff.failures, 1);
    happens(EVENT_READY, 3, 0);
    assert_int_equal(policy.backoff.failures, 0);
    assert_actions("proved, spawn 1");
    assert_int_equal(slots[1].generation, 2);
}

/* Whose workers fail to start is mended by a file that is right. */
static void a_failing_pool_is_mended(void **state)
{
    (void)state;
    happens(EVENT_START, 0, 0);
    while (policy.state != POOL_FAILING) {
        for (uint32_t i = 0; i < 3; i++)
            if (slots[i].state == SLOT_STARTING)
                happens(EVENT_EXITED, i, EXIT_CAUSE_CODE);
        if (policy.state != POOL_FAILING)
            passes(policy.backoff.until_ms - now_ms);
    }
    happens(EVENT_ROLL_OUT, 0, 0);
    assert_actions("spawn 0");
    happens(EVENT_READY, 0, 0);
    assert_actions("proved, spawn 1, spawn 2, =running");
    happens(EVENT_READY, 1, 0);
    happens(EVENT_READY, 2, 0);
    assert_actions("done");
}

/* ---- in the middle ---- */

static void another_generation_takes_the_canarys_place(void **state)
{
    (void)state;
    begin();
    happens(EVENT_ROLL_OUT, 0, 0);
    assert_actions("retire 3, spawn 4");
    assert_int_equal(slots[4].generation, 3);
    happens(EVENT_READY, 3, 0); /* too late */
    assert_actions("");
    happens(EVENT_READY, 4, 0);
    assert_actions("proved, retire 0");
    assert_int_equal(policy.generation, 3);
}

static void another_generation_that_fails_leaves_the_one_under_way(void **state)
{
    (void)state;
    begin();
    happens(EVENT_READY, 3, 0);
    happens(EVENT_ROLL_OUT, 0, 0);
    leaves(0);
    assert_actions("spawn 0"); /* the canary of the third; one is replaced at a time */
    assert_int_equal(slots[0].generation, 3);
    happens(EVENT_EXITED, 0, EXIT_CAUSE_CODE);
    assert_actions("back, spawn 0");
    assert_int_equal(slots[0].generation, 2);
}

static void a_pause_or_a_stop_ends_the_trial(void **state)
{
    (void)state;
    begin();
    happens(EVENT_PAUSE, 0, 0);
    assert_int_equal(actions.items[1].type, ACTION_ROLLOUT);
    assert_int_equal(actions.items[1].reason, REASON_PAUSE);
    assert_states(0, 0, 4);
    setup(NULL);
    begin();
    happens(EVENT_STOP, 0, 0);
    assert_actions("=stopping, retire 3, back, refuse");
    happens(EVENT_QUEUE_EMPTY, 0, 0);
    assert_states(0, 0, 4);
    happens(EVENT_ROLL_OUT, 0, 0);
    assert_actions("");
}

static void the_canary_is_no_surplus(void **state)
{
    (void)state;
    begin();
    happens(EVENT_SCALE_BY, 0, -1);
    assert_actions("2 wanted, retire 0");
}

static void who_is_of_a_former_generation_goes_first(void **state)
{
    (void)state;
    begin();
    happens(EVENT_READY, 3, 0);
    leaves(0);
    happens(EVENT_READY, 0, 0);
    happens(EVENT_SCALE_BY, 0, -1);
    assert_actions("2 wanted, retire 2, done");
}

/* A limit that does not hold any more is no reason to keep who is of a former generation. */
static void who_is_forgiven_is_still_of_a_former_generation(void **state)
{
    (void)state;
    settings.max_requests = 1000;
    settings.max_recycling = 1;
    begin();
    happens(EVENT_RECYCLE, 2, REASON_MAX_REQUESTS);
    happens(EVENT_READY, 3, 0);
    happens(EVENT_RECYCLE, 2, REASON_NONE);
    assert_int_equal(slots[2].due, REASON_GENERATION);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_canary_first_then_one_after_the_other),
        TEST(so_many_at_a_time_as_may_be_recycled),
        TEST(others_are_of_the_former_generation_meanwhile),
        TEST(a_pool_without_workers_tries_one),
        TEST(in_a_pause_it_is_in_effect_at_once),
        TEST(a_canary_that_was_fast_has_proved_itself),
        TEST(a_canary_that_fails_changes_nothing),
        TEST(a_canary_that_never_accepts_is_ended),
        TEST(a_canary_that_cannot_be_started_has_failed),
        TEST(a_generation_that_fails_later_is_taken_back),
        TEST(in_a_stop_there_is_no_way_back),
        TEST(who_has_become_old_meanwhile_is_due_for_that),
        TEST(broken_invariants_are_found),
        TEST(what_fails_of_a_former_generation_does_not_count),
        TEST(a_failing_pool_is_mended),
        TEST(another_generation_takes_the_canarys_place),
        TEST(another_generation_that_fails_leaves_the_one_under_way),
        TEST(a_pause_or_a_stop_ends_the_trial),
        TEST(the_canary_is_no_surplus),
        TEST(who_is_of_a_former_generation_goes_first),
        TEST(who_is_forgiven_is_still_of_a_former_generation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
