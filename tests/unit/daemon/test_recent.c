/* The last lines: how many, how long, how safe. */
#include "daemon/recent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char printed[RECENT_LINES * (RECENT_LINE_SIZE + 4) + 1];

static const char *print(void)
{
    memset(printed, 0, sizeof printed);
    FILE *out = fmemopen(printed, sizeof printed, "w");
    assert_non_null(out);
    recent_print(out);
    fclose(out);
    return printed;
}

static void test_only_while_started(void **state)
{
    (void)state;
    recent_add("before");
    assert_string_equal(print(), "");
    recent_start();
    recent_add("%s %d", "line", 7);
    assert_string_equal(print(), "  line 7\n");
    recent_stop();
    recent_add("after");
    assert_string_equal(print(), "");
    recent_start();
    assert_string_equal(print(), "");
    recent_stop();
}

/* Of two who want them the last one ends it. */
static void test_until_nobody_wants_them(void **state)
{
    (void)state;
    recent_start();
    recent_add("one");
    recent_start();
    recent_add("two");
    recent_stop();
    recent_add("three");
    char *text = recent_text(2);
    assert_string_equal(text, "two; three");
    free(text);
    recent_stop();
    assert_string_equal(print(), "");
}

static void test_the_last_ones_oldest_first(void **state)
{
    (void)state;
    for (int count = 0; count <= 3 * RECENT_LINES; count++) {
        char expected[RECENT_LINES * 16] = "";
        recent_start();
        for (int i = 0; i < count; i++)
            recent_add("%d", i);
        for (int i = count > RECENT_LINES ? count - RECENT_LINES : 0; i < count; i++)
            snprintf(expected + strlen(expected), 16, "  %d\n", i);
        assert_string_equal(print(), expected);
        recent_stop();
    }
}

static void test_long_and_unprintable_lines(void **state)
{
    (void)state;
    char text[2 * RECENT_LINE_SIZE], expected[RECENT_LINE_SIZE + 8];
    memset(text, 'x', sizeof text);
    memcpy(text + RECENT_LINE_SIZE - 3, "\xe2\x82\xac", 4); /* the third byte does not fit any more */
    snprintf(expected, sizeof expected, "  %.*s??\n", RECENT_LINE_SIZE - 3, text);
    recent_start();
    recent_add("%s", text);
    assert_string_equal(print(), expected);
    recent_stop();
    recent_start();
    recent_add("\033[31m\tred\n\x9b\xc2\x9b \xc3\xbc");
    assert_string_equal(print(), "  ?[31m\tred???? \xc3\xbc\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_while_started),
        cmocka_unit_test(test_until_nobody_wants_them),
        cmocka_unit_test(test_the_last_ones_oldest_first),
        cmocka_unit_test(test_long_and_unprintable_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
