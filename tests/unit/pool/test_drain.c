/* How a worker that tells of itself is led out. */
#include "pool/drain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct page_scan waiting = {.valid = true, .waiting = 1};
static const struct page_scan busy = {.valid = true, .numbers[PAGE_BUSY] = 1};
static const struct page_scan working = {.valid = true}; /* neither a connection nor in accept */
static const struct page_scan drained = {.valid = true, .drained = 1};

static void test_who_waits_is_woken(void **state)
{
    struct drain drain = {0};
    (void)state;
    assert_int_equal(drain_look(&drain, &waiting, 1000), DRAIN_WAKE);
    assert_int_equal(drain_look(&drain, &waiting, 1020), DRAIN_WAKE);
    assert_int_equal(drain_look(&drain, &drained, 1040), DRAIN_WAIT);
}

/* No signal can reach a request. */
static void test_who_is_busy_is_left_alone(void **state)
{
    static const enum page_state states[] = {PAGE_CONNECTED, PAGE_BUSY, PAGE_FINISHING};
    (void)state;
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        struct page_scan page = {.valid = true, .drained = 1};
        page.numbers[states[i]] = 1;
        struct drain drain = {0};
        for (int64_t now_ms = 1000; now_ms < 100000; now_ms += 500)
            assert_int_equal(drain_look(&drain, &page, now_ms), DRAIN_WAIT);
    }
    struct page_scan crowded = {.valid = true, .drained = 1, .overflow = 1};
    struct drain drain = {0};
    assert_int_equal(drain_look(&drain, &crowded, 1000), DRAIN_WAIT);
    assert_int_equal(drain_look(&drain, &crowded, 9000), DRAIN_WAIT);
}

/* Nor what a worker does after its answer. */
static void test_work_after_the_answer_is_left_alone(void **state)
{
    struct drain drain = {0};
    (void)state;
    for (int64_t now_ms = 1000; now_ms < 100000; now_ms += 500)
        assert_int_equal(drain_look(&drain, &working, now_ms), DRAIN_WAIT);
}

static void test_other_threads_are_woken_beside_a_busy_one(void **state)
{
    const struct page_scan page = {.valid = true, .waiting = 3, .numbers[PAGE_BUSY] = 1};
    struct drain drain = {0};
    (void)state;
    assert_int_equal(drain_look(&drain, &page, 1000), DRAIN_WAKE);
    assert_int_equal(drain_look(&drain, &page, 9000), DRAIN_WAKE);
}

static void test_who_is_kept_by_an_idle_client_is_woken(void **state)
{
    const struct page_scan page = {.valid = true, .drained = 1, .numbers[PAGE_KEPT] = 1};
    struct drain drain = {0};
    (void)state;
    assert_int_equal(drain_look(&drain, &page, 1000), DRAIN_WAKE);
    assert_int_equal(drain_look(&drain, &page, 9000), DRAIN_WAKE);
}

static void test_who_does_not_hear_is_watched_from_outside(void **state)
{
    struct drain drain = {0};
    (void)state;
    assert_int_equal(drain_look(&drain, &busy, 1000), DRAIN_WAIT);
    assert_int_equal(drain_look(&drain, &waiting, 5000), DRAIN_WAKE);
    assert_int_equal(drain_look(&drain, &waiting, 5000 + DRAIN_PATIENCE_MS - 1), DRAIN_WAKE);
    assert_int_equal(drain_look(&drain, &waiting, 5000 + DRAIN_PATIENCE_MS), DRAIN_GIVE_UP);
    assert_int_equal(drain_look(&drain, &busy, 9000), DRAIN_GIVE_UP);
}

/* The patience is with who is free, not with who was busy meanwhile. */
static void test_patience_begins_anew_after_work(void **state)
{
    struct drain drain = {0};
    (void)state;
    assert_int_equal(drain_look(&drain, &waiting, 1000), DRAIN_WAKE);
    assert_int_equal(drain_look(&drain, &busy, 1500), DRAIN_WAIT);
    assert_int_equal(drain_look(&drain, &waiting, 2500), DRAIN_WAKE);
}

static void test_who_stays_is_ended_once_then_given_up(void **state)
{
    struct drain drain = {0};
    int64_t end_ms = 1000 + DRAIN_PATIENCE_MS;
    (void)state;
    assert_int_equal(drain_look(&drain, &drained, 1000), DRAIN_WAIT);
    assert_int_equal(drain_look(&drain, &drained, end_ms - 1), DRAIN_WAIT);
    assert_int_equal(drain_look(&drain, &drained, end_ms), DRAIN_END);
    assert_int_equal(drain_look(&drain, &drained, end_ms + 1), DRAIN_WAIT);
    assert_int_equal(drain_look(&drain, &drained, end_ms + DRAIN_PATIENCE_MS), DRAIN_GIVE_UP);
}

/* By its page it is free, and somebody whom the page does not list may just take a connection. */
static void test_who_has_unlisted_acceptors_is_never_ended(void **state)
{
    struct page_scan page = {.valid = true, .drained = 1, .unlisted = 1};
    int64_t end_ms = 1000 + DRAIN_PATIENCE_MS;
    (void)state;
    for (uint32_t flags = 0; flags <= PAGE_NESTED; flags += PAGE_NESTED) {
        struct drain drain = {0};
        page.flags = flags;
        assert_int_equal(drain_look(&drain, &page, 1000), DRAIN_WAIT);
        assert_int_equal(drain_look(&drain, &page, end_ms - 1), DRAIN_WAIT);
        assert_int_equal(drain_look(&drain, &page, end_ms), DRAIN_GIVE_UP);
    }
}

static void test_a_pre_forking_leader_is_ended_soon(void **state)
{
    struct page_scan page = {.valid = true, .drained = 2, .flags = PAGE_NESTED, .numbers[PAGE_BUSY] = 1};
    struct drain drain = {0};
    (void)state;
    assert_int_equal(drain_look(&drain, &page, 1000), DRAIN_WAIT);
    page.numbers[PAGE_BUSY] = 0;
    page.waiting = 1;
    assert_int_equal(drain_look(&drain, &page, 1001), DRAIN_WAKE);
    page.waiting = 0;
    assert_int_equal(drain_look(&drain, &page, 2000), DRAIN_WAIT);
    assert_int_equal(drain_look(&drain, &page, 2000 + DRAIN_NESTED_MS - 1), DRAIN_WAIT);
    assert_int_equal(drain_look(&drain, &page, 2000 + DRAIN_NESTED_MS), DRAIN_END);
    assert_int_equal(drain_look(&drain, &page, 2000 + DRAIN_NESTED_MS + 1), DRAIN_WAIT);
    assert_int_equal(drain_look(&drain, &page, 2000 + DRAIN_NESTED_MS + DRAIN_PATIENCE_MS), DRAIN_GIVE_UP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_waits_is_woken),
        cmocka_unit_test(test_who_is_busy_is_left_alone),
        cmocka_unit_test(test_work_after_the_answer_is_left_alone),
        cmocka_unit_test(test_other_threads_are_woken_beside_a_busy_one),
        cmocka_unit_test(test_who_is_kept_by_an_idle_client_is_woken),
        cmocka_unit_test(test_who_does_not_hear_is_watched_from_outside),
        cmocka_unit_test(test_patience_begins_anew_after_work),
        cmocka_unit_test(test_who_stays_is_ended_once_then_given_up),
        cmocka_unit_test(test_who_has_unlisted_acceptors_is_never_ended),
        cmocka_unit_test(test_a_pre_forking_leader_is_ended_soon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
