/* The settings table is sound, and scalars are read and set by number. */
#include "pool/settings.h"

#include "pool/assert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *failed_expression;
static jmp_buf assertion;

__attribute__((noreturn)) void assert_failed(const char *expression, const char *file, int line)
{
    (void)file;
    (void)line;
    failed_expression = expression;
    longjmp(assertion, 1);
}

static void test_every_row_is_sound(void **state)
{
    (void)state;
    for (int id = 0; id < SETTING_IDS; id++) {
        const struct setting *setting = &settings_table[id];
        assert_non_null(setting->path);
        assert_true(strlen(setting->help) > 10);
        assert_true(strlen(setting->path) <= 48);
        if (setting_is_number(setting)) {
            bool in_range =
                setting->low <= setting->number_default && setting->number_default <= setting->high;
            assert_true(in_range || setting->number_default == SETTING_UNSET ||
                        setting->number_default == SETTING_AUTO);
            assert_true(setting->offset < sizeof(struct settings));
            assert_null(setting->text_default);
        }
        if (setting->type == SETTING_WORD)
            assert_non_null(setting->text_default);
    }
}

static void test_paths_are_unique_and_found(void **state)
{
    (void)state;
    for (int id = 0; id < SETTING_IDS; id++)
        assert_int_equal(settings_find(settings_table[id].path), id);
    assert_int_equal(settings_find("workers"), -1);
    assert_int_equal(settings_find("workers.mi"), -1);
    assert_int_equal(settings_find(""), -1);
}

/* A group and a setting of the same name could not both stand in a control file. */
static void test_no_setting_is_also_a_group(void **state)
{
    (void)state;
    for (int a = 0; a < SETTING_IDS; a++) {
        size_t length = strlen(settings_table[a].path);
        for (int b = 0; b < SETTING_IDS; b++)
            assert_false(strncmp(settings_table[a].path, settings_table[b].path, length) == 0 &&
                         settings_table[b].path[length] == '.');
    }
}

static void test_kinds(void **state)
{
    (void)state;
    assert_true(setting_is_number(&settings_table[SETTING_ID_backlog]));
    assert_true(setting_is_number(&settings_table[SETTING_ID_listen_mode]));
    assert_false(setting_is_number(&settings_table[SETTING_ID_NAME]));
    assert_false(setting_is_number(&settings_table[SETTING_ID_ENV]));
}

static void test_defaults(void **state)
{
    (void)state;
    struct settings settings;
    memset(&settings, 0x55, sizeof settings);
    settings_init(&settings);
    assert_int_equal(settings.workers_min, 2);
    assert_int_equal(settings.workers_max, 2);
    assert_int_equal(settings.graceful_timeout_ms, 30000);
    assert_int_equal(settings.backoff_initial_ms, 100);
    assert_int_equal(settings.listen_mode, 0660);
    assert_int_equal(settings.backlog, 2048);
    for (enum setting_id id = 0; id < SETTING_IDS; id++)
        if (setting_is_number(&settings_table[id]))
            assert_int_equal(settings_get(&settings, id), settings_table[id].number_default);
}

static void test_set_changes_one_only(void **state)
{
    (void)state;
    struct settings settings, before;
    settings_init(&settings);
    before = settings;
    settings_set(&settings, SETTING_ID_failures, INT64_MAX);
    assert_int_equal(settings.failures, INT64_MAX);
    assert_true(settings_get(&settings, SETTING_ID_failures) == INT64_MAX);
    settings.failures = before.failures;
    assert_memory_equal(&settings, &before, sizeof settings);
}

static void test_static_pool(void **state)
{
    (void)state;
    struct settings settings;
    settings_init(&settings);
    assert_true(settings_static(&settings));
    settings_set(&settings, SETTING_ID_workers_max, 3);
    assert_false(settings_static(&settings));
}

#ifndef FCGIPOOL_COVERAGE
static void test_texts_have_no_number(void **state)
{
    (void)state;
    struct settings settings;
    settings_init(&settings);
    failed_expression = NULL;
    if (setjmp(assertion) == 0)
        (void)settings_get(&settings, SETTING_ID_NAME);
    assert_non_null(failed_expression);
    failed_expression = NULL;
    if (setjmp(assertion) == 0)
        settings_set(&settings, SETTING_ID_ENV, 1);
    assert_non_null(failed_expression);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_is_sound),
        cmocka_unit_test(test_paths_are_unique_and_found),
        cmocka_unit_test(test_no_setting_is_also_a_group),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_set_changes_one_only),
        cmocka_unit_test(test_static_pool),
#ifndef FCGIPOOL_COVERAGE
        cmocka_unit_test(test_texts_have_no_number),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
