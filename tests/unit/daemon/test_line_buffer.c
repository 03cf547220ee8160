/* Lines out of pieces of every size, and the limit. */
#include "daemon/line_buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What comes of `bytes` that arrive in pieces of `step`: each line in brackets, then "more" or "too long". */
static void assert_lines(const char *bytes, size_t length, size_t step, const char *expected)
{
    char result[256] = "";
    struct line_buffer lines;
    enum line_buffer_event event = LINE_BUFFER_MORE;

    line_buffer_init(&lines, 5);
    for (size_t at = 0; at < length && event != LINE_BUFFER_TOO_LONG; at += step) {
        const char *line;
        size_t size;
        assert_int_equal(line_buffer_push(&lines, bytes + at, step < length - at ? step : length - at), 0);
        while ((event = line_buffer_next(&lines, &line, &size)) == LINE_BUFFER_LINE)
            snprintf(result + strlen(result), sizeof result - strlen(result), "[%.*s]", (int)size, line);
    }
    strcat(result, event == LINE_BUFFER_MORE ? "more" : "too long");
    assert_string_equal(result, expected);
    line_buffer_fini(&lines);
}

static void test_pieces_make_no_difference(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *expected;
    } cases[] = {
        {"a\nbc\n\nd", "[a][bc][]more"},
        {"\n", "[]more"},
        {"12345\n123456\nafter\n", "[12345]too long"},
        {"12345\n12345", "[12345]more"},
        {"a\n1234567890", "[a]too long"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t step = 1; step <= strlen(cases[i].bytes); step++)
            assert_lines(cases[i].bytes, strlen(cases[i].bytes), step, cases[i].expected);
}

static void test_too_long_stays_too_long(void **state)
{
    (void)state;
    struct line_buffer lines;
    const char *line;
    size_t length;

    line_buffer_init(&lines, 3);
    assert_int_equal(line_buffer_push(&lines, "1234", 4), 0);
    assert_int_equal(line_buffer_next(&lines, &line, &length), LINE_BUFFER_TOO_LONG);
    assert_int_equal(line_buffer_push(&lines, "\na\n", 3), 0);
    assert_int_equal(line_buffer_next(&lines, &line, &length), LINE_BUFFER_TOO_LONG);
    line_buffer_fini(&lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_make_no_difference),
        cmocka_unit_test(test_too_long_stays_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
