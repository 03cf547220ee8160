/*
 * Control files, valid and not: conf/{valid,invalid}/NAME.json and beside it NAME.expected, all that is said
 * about it (of a valid one also its dump, unaligned). @DIR@ stands for the folder, @RUNTIME@ for the runtime
 * directory.
 */
#include "daemon/base/paths.h"
#include "daemon/conf/conf.h"

#include <dirent.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char *read_text(const char *path)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = fopen(path, "r");
    if (!file)
        return NULL;
    ssize_t length = getdelim(&text, &size, EOF, file);
    fclose(file);
    return length < 0 ? strcpy(text, "") : text;
}

/* Puts `by` in place of every `what`; frees `text`. */
static char *replace(char *text, const char *what, const char *by)
{
    char *result = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&result, &size);
    const char *from = text, *at;
    for (; (at = strstr(from, what)); from = at + strlen(what))
        fprintf(out, "%.*s%s", (int)(at - from), from, by);
    fputs(from, out);
    fclose(out);
    free(text);
    return result;
}

/* Takes the alignment out of a dump: it depends on how long the paths are here. */
static char *unalign(char *text)
{
    char *comment;
    while ((comment = strstr(text, "   # ")))
        memmove(comment, comment + 1, strlen(comment));
    return text;
}

/* Leaves out the settings that were not given. */
static char *without_defaults(char *text)
{
    char *result = NULL, *rest = text, *line;
    size_t size = 0;
    FILE *out = open_memstream(&result, &size);
    while ((line = strsep(&rest, "\n")) && rest)
        if (!strstr(line, "  # default"))
            fprintf(out, "%s\n", line);
    fclose(out);
    free(text);
    return result;
}

/* All that is said about the file; only the minimal one shows what is default. */
static char *load(const char *file, int *ret_result)
{
    char *said = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&said, &size);
    struct problems problems = PROBLEMS_INIT;
    struct conf *conf = NULL;

    *ret_result = conf_load(file, NULL, 0, &problems, &conf);
    problems_print(&problems, out);
    if (*ret_result == 0)
        conf_dump(conf, out);
    else
        assert_null(conf);
    assert_true((problems.errors > 0) == (*ret_result < 0));
    conf_free(conf);
    problems_fini(&problems);
    fclose(out);
    said = unalign(said);
    return strcmp(file, "minimal.json") == 0 ? said : without_defaults(said);
}

/* Returns 1 when the file is not taken as it should be, having said so. */
static int check(const char *file, bool valid)
{
    char expected_path[NAME_MAX + 16], runtime[PATH_MAX];
    int stem = (int)(strlen(file) - strlen(".json")), result;

    snprintf(expected_path, sizeof expected_path, "%.*s.expected", stem, file);
    char *expected = read_text(expected_path);
    if (!expected) {
        print_error("%s is missing\n", expected_path);
        return 1;
    }
    char *here = get_current_dir_name();
    assert_int_equal(paths_runtime_directory(runtime, sizeof runtime), 0);
    expected = replace(replace(expected, "@DIR@", here), "@RUNTIME@", runtime);
    char *said = load(file, &result);

    int bad = (result == 0) != valid || strcmp(said, expected) != 0;
    if (bad)
        print_error("%s gave %d and\n%swhere this was expected:\n%s\n", file, result, said, expected);
    free(said);
    free(expected);
    free(here);
    return bad;
}

static void check_folder(const char *folder, bool valid, int at_least)
{
    int count = 0, bad = 0;
    const struct dirent *entry;

    assert_int_equal(chdir(TEST_DATA), 0);
    assert_int_equal(chdir(folder), 0);
    DIR *directory = opendir(".");
    assert_non_null(directory);
    while ((entry = readdir(directory))) {
        const char *dot = strrchr(entry->d_name, '.');
        if (!dot || strcmp(dot, ".json") != 0)
            continue;
        bad += check(entry->d_name, valid);
        count++;
    }
    closedir(directory);
    assert_int_equal(bad, 0);
    assert_true(count >= at_least);
}

static void test_valid_files_are_taken(void **state)
{
    (void)state;
    check_folder("valid", true, 10);
}

static void test_invalid_files_are_refused_with_every_fault_named(void **state)
{
    (void)state;
    check_folder("invalid", false, 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid_files_are_taken),
        cmocka_unit_test(test_invalid_files_are_refused_with_every_fault_named),
    };
    /* Named in a message, and where "sh" is found. */
    setenv("PATH", "/usr/bin:/bin", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
