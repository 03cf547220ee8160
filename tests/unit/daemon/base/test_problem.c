/* Problems, in words and in order. */
#include "daemon/base/problem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_prints(const struct problem *problem, const char *expected)
{
    char text[1024] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    problem_print(problem, out);
    fclose(out);
    assert_string_equal(text, expected);
}

static void test_set_fills_all(void **state)
{
    (void)state;
    struct problem problem;
    memset(&problem, 'x', sizeof problem);
    assert_int_equal(problem_set(&problem, -ENOENT, "no %s\n\033[1m", "file"), -ENOENT);
    assert_prints(&problem, "no file??[1m\n");
    assert_int_equal(problem_set(&problem, -EINVAL, "again: %s", problem.text), -EINVAL);
    assert_prints(&problem, "again: no file??[1m\n");
}

static void assert_text(const char *given, const char *expected)
{
    struct problem problem;
    problem_set(&problem, 0, "%s", given);
    assert_string_equal(problem.text, expected);
}

/* Texts go to terminals and into JSON. */
static void test_texts_are_utf8_without_control_characters(void **state)
{
    (void)state;
    char given[600], expected[512];

    assert_text("n\xc3\xa4me \xf0\x9f\x98\x80 \xc2\xa0", "n\xc3\xa4me \xf0\x9f\x98\x80 \xc2\xa0");
    assert_text("latin n\xe4me", "latin n?me");
    assert_text("\xc0\xaf \xed\xa0\x80 \xf4\x90\x80\x80", "?? ??? ????");
    assert_text("\xc2\x9b"
                "1m \x7f",
                "??1m ?");
    memset(given, 'x', sizeof given);
    memcpy(given + 509, "\xe2\x82\xac", 4); /* the third byte does not fit any more */
    memset(expected, 'x', 509);
    strcpy(expected + 509, "??");
    assert_text(given, expected);
}

static void test_printed_parts(void **state)
{
    (void)state;
    struct problem problem = {.file = "a.json", .line = 3, .column = 5, .path = "log.level", .text = "bad"};
    assert_prints(&problem, "a.json:3:5: log.level: bad\n");
    problem.warning = true;
    assert_prints(&problem, "a.json:3:5: warning: log.level: bad\n");
    problem.line = 0;
    assert_prints(&problem, "a.json: warning: log.level: bad\n");
    problem.path[0] = '\0';
    problem.warning = false;
    assert_prints(&problem, "a.json: bad\n");
    problem.file[0] = '\0';
    assert_prints(&problem, "bad\n");
}

static void add(struct problems *problems, const char *file, unsigned line, unsigned column, const char *text,
                bool warning)
{
    struct problem problem = {.line = line, .column = column, .warning = warning};
    snprintf(problem.file, sizeof problem.file, "%s", file);
    snprintf(problem.text, sizeof problem.text, "%s", text);
    problems_add(problems, &problem);
}

static void assert_list(struct problems *problems, const char *expected)
{
    char text[16384] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    problems_print(problems, out);
    fclose(out);
    assert_string_equal(text, expected);
}

static void test_order_is_that_of_the_file(void **state)
{
    (void)state;
    struct problems problems = PROBLEMS_INIT;
    assert_list(&problems, "");
    add(&problems, "a", 0, 0, "whole", false);
    add(&problems, "a", 2, 1, "first of two", false);
    add(&problems, "--set", 0, 0, "set 1", false);
    add(&problems, "a", 2, 1, "second of two", true);
    add(&problems, "--set", 0, 0, "set 2", true);
    add(&problems, "a", 1, 9, "early", false);
    add(&problems, "a", 0, 0, "whole too", false);
    assert_int_equal(problems.count, 7);
    assert_int_equal(problems.errors, 5);
    assert_list(&problems,
                "a:1:9: early\na:2:1: first of two\na:2:1: warning: second of two\na: whole\na: whole too\n"
                "--set: set 1\n--set: warning: set 2\n");
    problems_fini(&problems);
    assert_int_equal(problems.count, 0);
    problems_fini(&problems);
}

static void test_full_list_counts_on(void **state)
{
    (void)state;
    struct problems problems = PROBLEMS_INIT;
    for (unsigned i = 0; i < PROBLEMS_MAX; i++)
        add(&problems, "a", i + 1, 1, "x", true);
    assert_false(problems.more);
    add(&problems, "a", 1, 1, "an error", false);
    assert_true(problems.more);
    assert_int_equal(problems.count, PROBLEMS_MAX);
    assert_int_equal(problems.errors, 1);
    problems_fini(&problems);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_fills_all),
        cmocka_unit_test(test_texts_are_utf8_without_control_characters),
        cmocka_unit_test(test_printed_parts),
        cmocka_unit_test(test_order_is_that_of_the_file),
        cmocka_unit_test(test_full_list_counts_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
