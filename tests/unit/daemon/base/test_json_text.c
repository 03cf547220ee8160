/* Any bytes become the inside of a JSON string. */
#include "daemon/base/json_text.h"

#include "daemon/base/unicode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *bytes, *escaped;
} cases[] = {
    {"", ""},
    {"plain text", "plain text"},
    {"\"quoted\" \\ /", "\\\"quoted\\\" \\\\ /"},
    {"tab\tnewline\nreturn\r", "tab\\tnewline\\nreturn\\r"},
    {"\1\33[31m\177", "\\u0001\\u001b[31m\\u007f"},
    {"\xc2\x80\xc2\x9b\xc2\x9f\xc2\xa0", "\\u0080\\u009b\\u009f\xc2\xa0"},
    {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
    {"\xe2\x82\xac \xf0\x9f\x98\x80", "\xe2\x82\xac \xf0\x9f\x98\x80"},
    /* the first and last of each length */
    {"\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf",
     "\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"},
    {"\xed\x9f\xbf\xee\x80\x80", "\xed\x9f\xbf\xee\x80\x80"},
    {"latin \xfc.", "latin \\ufffd."},
    {"\x80", "\\ufffd"},
    {"\xc3", "\\ufffd"},
    {"\xe2\x82", "\\ufffd\\ufffd"},
    {"\xe2\x82x", "\\ufffd\\ufffdx"},
    {"\xf0\x9f\x98", "\\ufffd\\ufffd\\ufffd"},
    {"\xc0\xaf", "\\ufffd\\ufffd"},                       /* overlong '/' */
    {"\xe0\x9f\xbf", "\\ufffd\\ufffd\\ufffd"},            /* overlong */
    {"\xf0\x8f\xbf\xbf", "\\ufffd\\ufffd\\ufffd\\ufffd"}, /* overlong */
    {"\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd"},            /* surrogate */
    {"\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd"}, /* past U+10FFFF */
    {"\xf5\x80\x80\x80\xff", "\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd"},
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[128];
        text[json_text_escape(cases[i].bytes, strlen(cases[i].bytes), text)] = '\0';
        assert_string_equal(text, cases[i].escaped);
    }
}

static void test_nul(void **state)
{
    (void)state;
    char text[64];
    text[json_text_escape("a\0b", 3, text)] = '\0';
    assert_string_equal(text, "a\\u0000b");
}

/* Exactly as much room as is asked for, for bytes of every sort. */
static void test_stays_within_its_room(void **state)
{
    (void)state;
    srand(7);
    for (int turn = 0; turn < 20000; turn++) {
        char bytes[16];
        size_t length = (size_t)rand() % sizeof bytes;
        for (size_t i = 0; i < length; i++)
            bytes[i] = (char)rand();
        char *text = malloc(JSON_TEXT_MAX(length) + 1);
        assert_non_null(text);
        size_t written = json_text_escape(bytes, length, text);
        assert_true(written <= JSON_TEXT_MAX(length));
        for (size_t i = 0; i < written; i++)
            assert_true((unsigned char)text[i] >= ' ' && text[i] != 0x7f);
        /* What came out is UTF-8. */
        for (size_t i = 0, size; i < written; i += size)
            assert_true((size = unicode_length(text + i, written - i)) > 0);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_nul),
        cmocka_unit_test(test_stays_within_its_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
