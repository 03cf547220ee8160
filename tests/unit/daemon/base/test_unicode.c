/* UTF-8: what is a character, what a terminal may get, and where a text may be cut. */
#include "daemon/base/unicode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_length(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t left, length;
    } cases[] = {
        {"a", 1, 1},
        {"\0", 1, 1},
        {"\x7f", 1, 1},
        {"\xc3\xbc", 2, 2},
        {"\xc3\xbc", 1, 0}, /* cut */
        {"\xe2\x82\xac", 3, 3},
        {"\xe2\x82\xac", 2, 0},
        {"\xf0\x9f\x98\x80", 4, 4},
        {"\xf0\x9f\x98\x80", 3, 0},
        {"\xf4\x8f\xbf\xbf", 4, 4},
        {"\xf4\x90\x80\x80", 4, 0}, /* past U+10FFFF */
        {"\xc1\xbf", 2, 0},         /* overlong */
        {"\xe0\x9f\xbf", 3, 0},
        {"\xf0\x8f\xbf\xbf", 4, 0},
        {"\xed\x9f\xbf", 3, 3},
        {"\xed\xa0\x80", 3, 0}, /* surrogate */
        {"\xc3x", 2, 0},
        {"\x80", 1, 0},
        {"\xff", 1, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(unicode_length(cases[i].text, cases[i].left), cases[i].length);
}

/* Exactly `length` bytes are looked at. */
static void check_printable(const char *given, size_t length, const char *expected)
{
    char *text = malloc(length);
    assert_non_null(text);
    memcpy(text, given, length);
    unicode_make_printable(text, length);
    assert_int_equal(strlen(expected), length);
    assert_memory_equal(text, expected, length);
    free(text);
}

static void test_make_printable(void **state)
{
    (void)state;
    static const struct {
        const char *given, *expected;
    } cases[] = {
        {"plain\ttext ~", "plain\ttext ~"},
        {"\x1f\x01\n\r\x1b[31m\x7f", "?????[31m?"},
        {"\xc2\x80\xc2\x9b\xc2\x9f\xc2\xa0", "??????\xc2\xa0"},
        {"\x80\x9b\x9f\xff", "????"},
        {"gr\xc3\x9f \xe2\x82\x9b \xf0\x9f\x98\x80", "gr\xc3\x9f \xe2\x82\x9b \xf0\x9f\x98\x80"},
        {"cut \xe2\x82", "cut ??"},
        {"\xc2", "?"},
        {"\xc2\x1b", "??"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_printable(cases[i].given, strlen(cases[i].given), cases[i].expected);
    check_printable("a\0b", 3, "a?b");
}

static void test_cut(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t limit, length;
    } cases[] = {
        {"", 0, 0},
        {"", 5, 0},
        {"abc", 0, 0},
        {"abc", 2, 2},
        {"abc", 3, 3},
        {"abc", 4, 3},
        {"a\xe2\x82\xac", 4, 4},
        {"a\xe2\x82\xacz", 4, 4},
        {"a\xe2\x82\xac", 3, 1},
        {"a\xe2\x82\xac", 2, 1},
        {"a\xe2\x82\xac", 1, 1},
        {"\xf0\x9f\x98\x80", 3, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(unicode_cut(cases[i].text, cases[i].limit), cases[i].length);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_length),
        cmocka_unit_test(test_make_printable),
        cmocka_unit_test(test_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
