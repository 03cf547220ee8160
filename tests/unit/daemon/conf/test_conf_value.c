/* Durations, sizes, modes and switches, there and back. */
#include "daemon/conf/conf_value.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct setting row(enum setting_type type)
{
    return (struct setting){.path = "x", .type = type, .low = 0, .high = INT64_MAX};
}

static int parse(enum setting_type type, const char *json, int64_t *ret_number, struct problem *problem)
{
    struct setting setting = row(type);
    json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
    assert_non_null(value);
    int r = conf_value_number(&setting, value, ret_number, problem);
    json_decref(value);
    return r;
}

static void assert_parses(enum setting_type type, const char *json, int64_t number)
{
    struct problem problem;
    int64_t parsed = -1;
    if (parse(type, json, &parsed, &problem) < 0)
        fail_msg("%s: %s", json, problem.text);
    assert_true(parsed == number);
}

static void assert_refused(enum setting_type type, const char *json, int error)
{
    struct problem problem = {0};
    int64_t parsed = -7;
    assert_int_equal(parse(type, json, &parsed, &problem), error);
    assert_true(parsed == -7);
    assert_true(problem.text[0] != '\0');
}

static void test_durations(void **state)
{
    (void)state;
    enum setting_type type = SETTING_SECONDS;
    assert_parses(type, "30", 30000);
    assert_parses(type, "0", 0);
    assert_parses(type, "0.1", 100);
    assert_parses(type, "1.001", 1001);
    assert_parses(type, "\"500ms\"", 500);
    assert_parses(type, "\"30s\"", 30000);
    assert_parses(type, "\"5m\"", 300000);
    assert_parses(type, "\"1h\"", 3600000);
    const char *wrong[] = {"\"30\"", "\"\"",   "\"s\"",    "\"1 s\"", "\" 1s\"", "\"-1s\"", "\"+1s\"",
                           "\"1d\"", "\"1S\"", "\"1.5s\"", "\"1sx\"", "true",    "null",    "[1]"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_refused(type, wrong[i], -EINVAL);
    assert_refused(type, "0.0001", -EINVAL);
    assert_refused(type, "-1", -ERANGE);
    assert_refused(type, "-0.5", -ERANGE);
    assert_refused(type, "1e300", -ERANGE);
    assert_refused(type, "9223372036854775807", -ERANGE);
    assert_refused(type, "\"9223372036854775807h\"", -ERANGE);
    assert_refused(type, "\"99999999999999999999ms\"", -ERANGE);
}

static void test_sizes(void **state)
{
    (void)state;
    enum setting_type type = SETTING_SIZE;
    assert_parses(type, "4096", 4096);
    assert_parses(type, "\"64K\"", 65536);
    assert_parses(type, "\"256M\"", 268435456);
    assert_parses(type, "\"2G\"", 2147483648);
    assert_parses(type, "\"512\"", 512);
    assert_refused(type, "\"1k\"", -EINVAL);
    assert_refused(type, "\"1MB\"", -EINVAL);
    assert_refused(type, "1.5", -EINVAL);
    assert_refused(type, "-1", -ERANGE);
    assert_refused(type, "\"9223372036854775807K\"", -ERANGE);
}

static void test_limits(void **state)
{
    (void)state;
    char text[CONF_VALUE_SIZE];
    assert_parses(SETTING_LIMIT, "\"unlimited\"", SETTING_UNLIMITED);
    assert_parses(SETTING_LIMIT, "\"2G\"", 2147483648);
    assert_parses(SETTING_LIMIT, "4096", 4096);
    assert_refused(SETTING_LIMIT, "\"none\"", -EINVAL);
    assert_refused(SETTING_LIMIT, "-1", -ERANGE);
    conf_value_json(SETTING_LIMIT, SETTING_UNLIMITED, text);
    assert_string_equal(text, "\"unlimited\"");
    conf_value_json(SETTING_LIMIT, SETTING_UNSET, text);
    assert_string_equal(text, "null");

    assert_parses(SETTING_QUANTITY, "\"unlimited\"", SETTING_UNLIMITED);
    assert_parses(SETTING_QUANTITY, "4096", 4096);
    assert_refused(SETTING_QUANTITY, "\"1K\"", -EINVAL);
    assert_refused(SETTING_QUANTITY, "\"4096\"", -EINVAL);
    conf_value_json(SETTING_QUANTITY, SETTING_UNLIMITED, text);
    assert_string_equal(text, "\"unlimited\"");
    conf_value_json(SETTING_QUANTITY, 4096, text);
    assert_string_equal(text, "4096");
}

static void test_modes(void **state)
{
    (void)state;
    enum setting_type type = SETTING_MODE;
    assert_parses(type, "\"0660\"", 0660);
    assert_parses(type, "\"660\"", 0660);
    assert_parses(type, "\"000\"", 0);
    assert_parses(type, "\"01777\"", 01777);
    const char *wrong[] = {"660", "\"\"", "\"66\"", "\"0888\"", "\"u=rw\"", "\"0o660\"", "\"000660\""};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_refused(type, wrong[i], -EINVAL);
}

static void test_counts_and_switches(void **state)
{
    (void)state;
    assert_parses(SETTING_COUNT, "7", 7);
    assert_refused(SETTING_COUNT, "7.0", -EINVAL);
    assert_refused(SETTING_COUNT, "\"7\"", -EINVAL);
    assert_refused(SETTING_COUNT, "-7", -ERANGE);
    assert_parses(SETTING_SWITCH, "true", 1);
    assert_parses(SETTING_SWITCH, "false", 0);
    assert_refused(SETTING_SWITCH, "1", -EINVAL);
    assert_refused(SETTING_SWITCH, "\"true\"", -EINVAL);
}

static void test_range_is_closed_and_named_in_units(void **state)
{
    (void)state;
    struct setting setting = {.path = "x", .type = SETTING_SECONDS, .low = 500, .high = 7200000};
    struct problem problem;
    int64_t number;
    static const struct {
        double seconds;
        int result;
    } cases[] = {{0.499, -ERANGE}, {0.5, 0}, {7200, 0}, {7200.001, -ERANGE}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *value = json_real(cases[i].seconds);
        assert_int_equal(conf_value_number(&setting, value, &number, &problem), cases[i].result);
        if (cases[i].result)
            assert_non_null(strstr(problem.text, "is out of range: 500ms to 2h"));
        json_decref(value);
    }
    struct setting size = {.path = "x", .type = SETTING_SIZE, .low = 1 << 20, .high = 1LL << 40};
    json_t *value = json_string("1K");
    assert_int_equal(conf_value_number(&size, value, &number, &problem), -ERANGE);
    assert_string_equal(problem.text, "\"1K\" is out of range: 1M to 1024G");
    json_decref(value);
}

static void test_texts(void **state)
{
    (void)state;
    static const struct {
        enum setting_type type;
        int64_t number;
        const char *text, *json;
    } cases[] = {
        {SETTING_SECONDS, 0, "0s", "0"},
        {SETTING_SECONDS, 100, "100ms", "\"100ms\""},
        {SETTING_SECONDS, 1500, "1500ms", "\"1500ms\""},
        {SETTING_SECONDS, 30000, "30s", "30"},
        {SETTING_SECONDS, 90000, "90s", "90"},
        {SETTING_SECONDS, 300000, "5m", "300"},
        {SETTING_SECONDS, 86400000, "24h", "86400"},
        {SETTING_SIZE, 0, "0", "0"},
        {SETTING_SIZE, 1000, "1000", "1000"},
        {SETTING_SIZE, 65536, "64K", "\"64K\""},
        {SETTING_SIZE, 2147483648, "2G", "\"2G\""},
        {SETTING_MODE, 022, "0022", "\"0022\""},
        {SETTING_SWITCH, 1, "true", "true"},
        {SETTING_SWITCH, 0, "false", "false"},
        {SETTING_COUNT, 4, "4", "4"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[CONF_VALUE_SIZE], json[CONF_VALUE_SIZE];
        conf_value_text(cases[i].type, cases[i].number, text);
        conf_value_json(cases[i].type, cases[i].number, json);
        assert_string_equal(text, cases[i].text);
        assert_string_equal(json, cases[i].json);
        assert_parses(cases[i].type, json, cases[i].number);
    }
}

static void test_long_values_are_cut(void **state)
{
    (void)state;
    char text[CONF_VALUE_SIZE], expected[CONF_VALUE_SIZE], long_text[101] = "";
    memset(long_text, 'x', 100);
    snprintf(expected, sizeof expected, "the string \"%.40s...\"", long_text);
    json_t *value = json_string(long_text);
    conf_value_describe(value, text);
    assert_string_equal(text, expected);
    json_decref(value);

    /* Between characters: 39 bytes of them fit. */
    long_text[0] = '\0';
    for (int i = 0; i < 20; i++)
        strcat(long_text, "\xe2\x82\xac");
    snprintf(expected, sizeof expected, "the string \"%.39s...\"", long_text);
    value = json_string(long_text);
    conf_value_describe(value, text);
    assert_string_equal(text, expected);
    json_decref(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_counts_and_switches),
        cmocka_unit_test(test_range_is_closed_and_named_in_units),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_long_values_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
