/* The numbers of workers: 0 to n - 1 whenever all are there, so that what is dealt by them is dealt evenly.
 */
#include "pool/chance.h"
#include "pool/number.h"
#include "tests/unit/pool/script.h"

static int setup_numbered(void **state)
{
    (void)setup(state);
    policy_number(&policy, true);
    return 0;
}

/* How many serve, and whether their numbers are the lowest. */
static void assert_numbers(uint32_t count)
{
    bool seen[SLOTS] = {false};
    uint32_t serving = 0;
    for (uint32_t i = 0; i < SLOTS; i++) {
        if (slots[i].state != SLOT_SERVING)
            continue;
        assert_true(slots[i].number < count);
        assert_false(seen[slots[i].number]);
        seen[slots[i].number] = true;
        serving++;
    }
    assert_int_equal(serving, count);
}

/* Who starts serves, who leaves has left, until there is nothing more to do. */
static void settle(void)
{
    for (bool goes_on = true; goes_on;) {
        passes(POLICY_PROBATION_MS);
        goes_on = false;
        for (uint32_t i = 0; i < SLOTS; i++) {
            if (slots[i].state == SLOT_STARTING)
                happens(EVENT_READY, i, 0);
            else if (slots[i].state == SLOT_RETIRING)
                happens(EVENT_EXITED, i, EXIT_CAUSE_CLEAN);
            else
                continue;
            goes_on = true;
        }
    }
}

static void leaves(uint32_t slot)
{
    happens(EVENT_EXITED, slot, EXIT_CAUSE_CLEAN);
}

static void a_crash_leaves_its_number_to_the_next(void **state)
{
    (void)state;
    run();
    assert_numbers(3);
    happens(EVENT_EXITED, 1, EXIT_CAUSE_SIGNAL);
    assert_actions("spawn 1");
    assert_int_equal(slots[1].number, 1);
}

static void a_successor_has_the_number_of_whom_it_succeeds(void **state)
{
    (void)state;
    settings.max_requests = 10;
    run();
    happens(EVENT_RECYCLE, 2, REASON_MAX_REQUESTS);
    assert_actions("spawn 3");
    assert_int_equal(slots[3].number, 2);
    happens(EVENT_RECYCLE, 0, REASON_MAX_REQUESTS);
    happens(EVENT_READY, 3, 0);
    assert_actions("retire 2"); /* though it is younger */
}

static void the_highest_goes_when_fewer_are_wanted(void **state)
{
    (void)state;
    run();
    happens(EVENT_EXITED, 0, EXIT_CAUSE_SERVED);
    happens(EVENT_READY, 0, 0);
    happens(EVENT_SCALE_BY, 0, -1);
    assert_actions("2 wanted, retire 2");
    settle();
    assert_numbers(2);
}

/* Its successor is on the way when it turns out that it may stay. */
static void of_two_with_one_number_one_goes(void **state)
{
    (void)state;
    settings.max_requests = 10;
    run();
    happens(EVENT_RECYCLE, 0, REASON_MAX_REQUESTS);
    assert_actions("spawn 3");
    happens(EVENT_SCALE_BY, 0, 1);
    happens(EVENT_RECYCLE, 0, REASON_NONE);
    settle();
    happens(EVENT_SCALE_BY, 0, -1);
    settle();
    assert_numbers(3);
}

/* Who is to be replaced keeps his number for his successor. */
static void who_is_due_stays_if_his_number_does(void **state)
{
    (void)state;
    settings.max_requests = 10;
    settings.max_recycling = 1;
    run();
    happens(EVENT_RECYCLE, 1, REASON_MAX_REQUESTS);
    happens(EVENT_RECYCLE, 0, REASON_MAX_REQUESTS);
    happens(EVENT_SCALE_TO, 0, 1);
    settle();
    assert_numbers(1);
}

/* The one with the lowest had not yet served when fewer were wanted. */
static void who_has_one_too_high_is_replaced(void **state)
{
    (void)state;
    run();
    happens(EVENT_EXITED, 0, EXIT_CAUSE_SIGNAL);
    happens(EVENT_SCALE_BY, 0, -1);
    assert_actions("2 wanted, retire 0");
    leaves(0);
    assert_actions("spawn 0");
    assert_int_equal(slots[0].number, 0);
    happens(EVENT_SETTINGS, 0, 0); /* nothing of that changes it */
    happens(EVENT_READY, 0, 0);
    assert_actions("retire 2");
    assert_int_equal(actions.items[0].reason, REASON_NUMBER);
    settle();
    assert_numbers(2);
}

/* One of them is replaced then, by the one that is missing. */
static void of_two_with_one_number_one_is_replaced(void **state)
{
    (void)state;
    settings.max_requests = 10;
    run();
    happens(EVENT_RECYCLE, 0, REASON_MAX_REQUESTS);
    happens(EVENT_SCALE_BY, 0, 1);
    happens(EVENT_RECYCLE, 0, REASON_NONE);
    happens(EVENT_READY, 3, 0);
    assert_actions("spawn 5");
    assert_int_equal(slots[0].due, REASON_NUMBER);
    assert_int_equal(slots[3].due, REASON_NONE);
    assert_int_equal(slots[5].number, 3);
    settle();
    assert_numbers(4);
    assert_int_equal(policy.stats.recycled_number, 1);
}

/* While starts fail both stay, and it turns out that none has to go. */
static void of_two_with_one_number_the_older_goes(void **state)
{
    (void)state;
    settings.max_requests = 10;
    settings.workers_min = settings.workers_max = 1;
    happens(EVENT_START, 0, 0);
    happens(EVENT_READY, 0, 0);
    passes(POLICY_PROBATION_MS);
    happens(EVENT_RECYCLE, 0, REASON_MAX_REQUESTS);
    happens(EVENT_SCALE_BY, 0, 1);
    happens(EVENT_SPAWN_FAILED, 2, 0);
    happens(EVENT_READY, 1, 0);
    happens(EVENT_RECYCLE, 0, REASON_NONE);
    assert_states(0, 2, 0);
    happens(EVENT_SCALE_BY, 0, -1);
    assert_actions("1 wanted, retire 0");
}

/* Idle ones go first, whatever their numbers; what is out of order then is mended. */
static void who_is_busy_stays(void **state)
{
    (void)state;
    run();
    slots[2].busy = true;
    happens(EVENT_SCALE_BY, 0, -1);
    assert_actions("2 wanted, retire 1");
    settle();
    assert_numbers(2);
}

/* It does not count for those whom it may succeed. */
static void a_canary_has_the_first(void **state)
{
    (void)state;
    run();
    happens(EVENT_ROLL_OUT, 0, 0);
    assert_actions("spawn 3");
    assert_int_equal(slots[3].number, 0);
    happens(EVENT_EXITED, 1, EXIT_CAUSE_SERVED);
    assert_actions("spawn 1");
    assert_int_equal(slots[1].number, 1);
    happens(EVENT_READY, 1, 0);
    happens(EVENT_READY, 3, 0);
    assert_actions("proved, retire 0");
    leaves(0);
    assert_actions("spawn 0");
    assert_int_equal(slots[0].number, 1);
    settle();
    assert_numbers(3);
    assert_int_equal(policy.stats.recycled_number, 0);
}

/* So that the number of who is not yet ready is not given up. */
static void who_has_a_successor_that_serves_goes_first(void **state)
{
    (void)state;
    settings.max_requests = 10;
    settings.max_recycling = 2;
    run();
    happens(EVENT_RECYCLE, 0, REASON_MAX_REQUESTS);
    happens(EVENT_RECYCLE, 1, REASON_MAX_REQUESTS);
    assert_actions("spawn 4");
    happens(EVENT_READY, 4, 0);
    assert_actions("retire 1");
}

static void each_address_has_numbers_of_its_own(void **state)
{
    (void)state;
    run();
    happens(EVENT_ROLL_OUT, 0, 2);
    happens(EVENT_READY, 3, 0);
    happens(EVENT_READY, 4, 0);
    happens(EVENT_READY, 5, 0);
    assert_actions("refuse");
    passes(1);
    assert_actions("");
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(slots[i].number, i % 3);
}

static void nobody_is_replaced_for_it_in_a_pause_or_a_stop(void **state)
{
    (void)state;
    run();
    happens(EVENT_PAUSE, 0, 0);
    passes(1);
    assert_actions("");
    settle();
    happens(EVENT_RESUME, 0, 0);
    settle();
    assert_numbers(3);
    happens(EVENT_STOP, 0, 0);
    passes(1);
    assert_actions("");
}

static void more_than_a_word_of_them(void **state)
{
    static struct slot many[200];
    static struct numbers numbers;
    struct policy large;
    (void)state;
    policy_init(&large, &settings, many, 200, 1);
    for (uint32_t i = 0; i < 200; i++)
        many[i] = (struct slot){.state = SLOT_SERVING, .number = i};
    many[130].state = SLOT_EMPTY;
    numbers_of_staying(&large, 0, false, &numbers);
    assert_int_equal(numbers_free(&numbers), 130);
    many[0].due = REASON_MAX_REQUESTS;
    many[7].number = 8;
    numbers_of_staying(&large, 0, false, &numbers);
    assert_int_equal(numbers_free(&numbers), 0);
    assert_false(numbers_has(&numbers, 7));
    assert_true(numbers_has_twice(&numbers, 8));
    many[1].place = 9;
    numbers_of_staying(&large, 9, false, &numbers);
    assert_true(numbers_has(&numbers, 1));
    assert_false(numbers_has(&numbers, 2));
}

static void after_any_crashes_recycles_and_changes_of_number(void **state)
{
    uint64_t chance = 42;
    (void)state;
    settings.max_requests = 10;
    settings.max_recycling = 2;
    run();
    for (int step = 0; step < 1000; step++) {
        uint32_t slot = (uint32_t)(chance_next(&chance) % SLOTS);
        switch (chance_next(&chance) % 4) {
        case 0:
            if (slots[slot].state == SLOT_SERVING)
                happens(EVENT_EXITED, slot, EXIT_CAUSE_SERVED);
            break;
        case 1:
            happens(EVENT_RECYCLE, slot, REASON_MAX_REQUESTS);
            break;
        case 2:
            happens(EVENT_SCALE_TO, 0, 1 + (int64_t)(chance_next(&chance) % 6));
            break;
        default:
            settle();
            assert_numbers((uint32_t)policy.wanted);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup(name, setup_numbered)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_crash_leaves_its_number_to_the_next),
        TEST(a_successor_has_the_number_of_whom_it_succeeds),
        TEST(the_highest_goes_when_fewer_are_wanted),
        TEST(of_two_with_one_number_one_goes),
        TEST(who_is_due_stays_if_his_number_does),
        TEST(who_has_one_too_high_is_replaced),
        TEST(of_two_with_one_number_one_is_replaced),
        TEST(of_two_with_one_number_the_older_goes),
        TEST(who_is_busy_stays),
        TEST(a_canary_has_the_first),
        TEST(who_has_a_successor_that_serves_goes_first),
        TEST(each_address_has_numbers_of_its_own),
        TEST(nobody_is_replaced_for_it_in_a_pause_or_a_stop),
        TEST(more_than_a_word_of_them),
        TEST(after_any_crashes_recycles_and_changes_of_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
