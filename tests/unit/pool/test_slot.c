/* The life of a worker in its slot, its words, and those of reasons. */
#include "pool/slot.h"

#include "pool/assert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

void assert_failed(const char *expression, const char *file, int line)
{
    mock_assert(0, expression, file, line);
    __builtin_unreachable();
}

static struct slot slot_in(enum slot_state state)
{
    static const enum slot_step way[SLOT_STATES][3] = {
        [SLOT_STARTING] = {SLOT_STEP_SPAWN, SLOT_STEPS},
        [SLOT_SERVING] = {SLOT_STEP_SPAWN, SLOT_STEP_READY, SLOT_STEPS},
        [SLOT_RETIRING] = {SLOT_STEP_SPAWN, SLOT_STEP_RETIRE, SLOT_STEPS},
        [SLOT_ABORTING] = {SLOT_STEP_SPAWN, SLOT_STEP_ABORT, SLOT_STEPS},
        [SLOT_KILLING] = {SLOT_STEP_SPAWN, SLOT_STEP_RETIRE, SLOT_STEP_KILL},
    };
    struct slot slot;
    slot_init(&slot);
    for (int i = 0; state != SLOT_EMPTY && i < 3 && way[state][i] != SLOT_STEPS; i++)
        slot_move(&slot, way[state][i], 1000 + i);
    assert_int_equal(slot.state, state);
    return slot;
}

static void an_empty_slot_has_nobody(void **state)
{
    (void)state;
    struct slot slot = slot_in(SLOT_EMPTY);
    assert_int_equal(slot.incarnation, 0);
    assert_int_equal(slot.deadline_ms, NEVER_MS);
    assert_false(slot_is_capacity(&slot));
    assert_false(slot_is_leaving(&slot));
}

static void a_move_sets_the_deadline(void **state)
{
    (void)state;
    struct slot slot = slot_in(SLOT_STARTING);
    slot_move(&slot, SLOT_STEP_READY, 4321);
    assert_int_equal(slot.deadline_ms, 4321);
}

static void capacity_is_what_serves_or_is_about_to(void **state)
{
    (void)state;
    for (int i = SLOT_STARTING; i < SLOT_STATES; i++) {
        struct slot slot = slot_in((enum slot_state)i);
        assert_int_equal(slot_is_capacity(&slot), i <= SLOT_SERVING);
        assert_int_equal(slot_is_leaving(&slot), i > SLOT_SERVING);
    }
}

static void exit_empties_the_slot_from_every_state(void **state)
{
    (void)state;
    for (int i = SLOT_STARTING; i < SLOT_STATES; i++) {
        struct slot slot = slot_in((enum slot_state)i);
        slot.incarnation = 7;
        slot_move(&slot, SLOT_STEP_EXIT, 99);
        assert_int_equal(slot.state, SLOT_EMPTY);
        assert_int_equal(slot.incarnation, 0);
        assert_int_equal(slot.deadline_ms, NEVER_MS);
    }
}

/* ASSERT has no branch to test under coverage. */
#ifndef FCGIPOOL_COVERAGE
static void a_move_that_the_table_lacks_is_a_bug(void **state)
{
    (void)state;
    struct slot empty = slot_in(SLOT_EMPTY);
    struct slot killing = slot_in(SLOT_KILLING);
    expect_assert_failure(slot_move(&empty, SLOT_STEP_EXIT, 1));
    expect_assert_failure(slot_move(&empty, SLOT_STEP_READY, 1));
    expect_assert_failure(slot_move(&killing, SLOT_STEP_RETIRE, 1));
}
#endif

static void every_state_and_reason_has_its_words(void **state)
{
    (void)state;
    assert_string_equal(slot_state_name(SLOT_EMPTY), "empty");
    assert_string_equal(slot_state_name(SLOT_SERVING), "serving");
    for (int i = 0; i < SLOT_STATES; i++)
        assert_non_null(slot_state_name((enum slot_state)i));
    assert_string_equal(reason_text(REASON_STOP), "pool stops");
    for (int i = 0; i < REASONS; i++)
        assert_non_null(reason_text((enum reason)i));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_slot_has_nobody),
        cmocka_unit_test(a_move_sets_the_deadline),
        cmocka_unit_test(capacity_is_what_serves_or_is_about_to),
        cmocka_unit_test(exit_empties_the_slot_from_every_state),
#ifndef FCGIPOOL_COVERAGE
        cmocka_unit_test(a_move_that_the_table_lacks_is_a_bug),
#endif
        cmocka_unit_test(every_state_and_reason_has_its_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
