/* The log: levels, formats, limits, and what it says of lines that were lost. */
#include "daemon/base/log.h"

#include <errno.h>
#include <regex.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define TIME "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}[+-][0-9]{2}:[0-9]{2}"

static char directory[64];
static char text[1 << 20];

static int setup(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/fcgipool-test-XXXXXX");
    log_configure(NULL, LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    return !mkdtemp(directory) || chdir(directory) < 0 || log_open("log") < 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", directory);
    return chdir("/") < 0 || system(command) != 0;
}

static const char *read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

/* The whole log must match. */
static void assert_log(const char *pattern)
{
    regex_t regex;
    char whole[2048];
    snprintf(whole, sizeof whole, "^%s$", pattern);
    assert_int_equal(regcomp(&regex, whole, REG_EXTENDED | REG_NOSUB), 0);
    if (regexec(&regex, read_file("log"), 0, NULL, 0) != 0)
        fail_msg("%s\ndoes not match\n%s", text, pattern);
    regfree(&regex);
}

static void test_text(void **state)
{
    (void)state;
    log_info("%s %d", "hello", 7);
    log_output(3, 4711, "from\0a\tworker\33", 14);
    log_error("two\nlines");
    log_output(3, 4711, "\x9b\xc2\x9b \xc3\xbc", 6);
    log_hook_output("on_exit", 4711, "a\tb", 3);
    log_flush();
    assert_log(TIME " info hello 7\n" TIME " output worker 3 pid 4711: from[?]a\tworker[?]\n" TIME
                    " error two[?]lines\n" TIME " output worker 3 pid 4711: [?][?][?] \xc3\xbc\n" TIME
                    " output hook on_exit pid 4711: a\tb\n");
}

static void test_json(void **state)
{
    (void)state;
    log_configure("a \"b\"", LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_warning("hello\n\"%s\"", "\xff");
    log_output(3, 4711, "from\0a", 6);
    log_hook_output("on_exit", 4711, "\"", 1);
    log_configure(NULL, LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_info("short");
    assert_log("[{]\"time\":\"" TIME
               "\",\"level\":\"warning\",\"pool\":\"a \\\\\"b\\\\\"\",\"message\":\"hello\\\\n"
               "\\\\\"\\\\ufffd\\\\\"\"[}]\n"
               "[{]\"time\":\"" TIME
               "\",\"level\":\"output\",\"pool\":\"a \\\\\"b\\\\\"\",\"worker\":3,\"pid\":4711,"
               "\"message\":\"from\\\\u0000a\"[}]\n"
               "[{]\"time\":\"" TIME
               "\",\"level\":\"output\",\"pool\":\"a \\\\\"b\\\\\"\",\"hook\":\"on_exit\",\"pid\":4711,"
               "\"message\":\"\\\\\"\"[}]\n"
               "[{]\"time\":\"" TIME "\",\"level\":\"info\",\"message\":\"short\"[}]\n");
}

static void test_longest_line_is_whole_json(void **state)
{
    (void)state;
    static char bytes[2 * LOG_TEXT_MAX];
    static char name[65];
    memset(bytes, '\1', sizeof bytes);
    memset(name, '"', 64);
    log_configure(name, LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_output(4095, 4194304, bytes, sizeof bytes);
    log_flush();
    size_t length = strlen(read_file("log"));
    assert_true(length > 6 * LOG_TEXT_MAX && length < 6 * LOG_TEXT_MAX + 512);
    assert_string_equal(text + length - 9, "\\u0001\"}\n");
    memset(bytes, 'x', sizeof bytes);
    bytes[sizeof bytes - 1] = '\0';
    log_info("%s", bytes);
    assert_string_equal(read_file("log") + strlen(text) - 4, "x\"}\n");
}

static void test_levels(void **state)
{
    (void)state;
    static const char *const words[] = {"debug", "info", "warning", "error"};
    for (int i = 0; i < 4; i++)
        assert_int_equal(log_level_parse(words[i]), i);
    assert_int_equal(log_format_parse("json"), LOG_FORMAT_JSON);
    assert_int_equal(log_format_parse("text"), LOG_FORMAT_TEXT);
    log_debug("no");
    log_configure(NULL, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    log_warning("no");
    log_error("yes");
    log_output(1, 2, "always", 6);
    log_configure(NULL, LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
    log_debug("now");
    assert_log(TIME " error yes\n" TIME " output worker 1 pid 2: always\n" TIME " debug now\n");
}

static void test_output_waits_for_the_flush(void **state)
{
    (void)state;
    log_output(1, 2, "one", 3);
    log_output(1, 2, "two", 3);
    assert_log("");
    log_flush();
    assert_log(TIME " output worker 1 pid 2: one\n" TIME " output worker 1 pid 2: two\n");
}

static void test_limit(void **state)
{
    (void)state;
    struct log_limit limit = {0};
    for (int i = 0; i < LOG_LIMIT_BURST + 5; i++)
        log_limited(&limit, LOG_LEVEL_INFO, "trouble %d", i);
    assert_log("(" TIME " info trouble [0-9]\n){10}");
    limit.window_start_ms -= LOG_LIMIT_WINDOW_MS;
    log_limited(&limit, LOG_LEVEL_INFO, "again");
    assert_log("(" TIME " info trouble [0-9]\n){10}" TIME
               " info 5 lines like the next one were held back\n" TIME " info again\n");
}

static void limit_file_size(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes ? bytes : limit.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Five lines in all: two of ours, three of a worker's. */
static void test_lost_lines_are_told(void **state)
{
    (void)state;
    log_info("before");
    limit_file_size(strlen(read_file("log")));
    log_info("lost");
    log_info("lost too");
    log_output(1, 2, "lost", 4);
    log_output(1, 2, "lost", 4);
    log_output(1, 2, "lost", 4);
    log_flush();
    limit_file_size(0);
    log_info("after");
    log_info("later");
    assert_log(TIME " info before\n" TIME
                    " warning 5 log lines were dropped: the log did not take them\n" TIME " info after\n" TIME
                    " info later\n");
}

static void test_lost_lines_are_told_to_workers_lines_too(void **state)
{
    (void)state;
    log_info("before");
    limit_file_size(strlen(read_file("log")));
    log_output(1, 2, "lost", 4);
    log_flush();
    log_output(1, 2, "lost", 4);
    log_flush();
    limit_file_size(0);
    log_output(1, 2, "after", 5);
    log_flush();
    assert_log(TIME " info before\n" TIME
                    " warning 2 log lines were dropped: the log did not take them\n" TIME
                    " output worker 1 pid 2: after\n");
}

/* Nor is a line left torn that was begun. */
static void test_lost_lines_are_told_at_the_end(void **state)
{
    (void)state;
    log_info("before");
    limit_file_size(strlen(read_file("log")) + 5);
    log_info("torn");
    log_info("lost");
    log_info("lost too");
    limit_file_size(0);
    log_close();
    assert_log(TIME " info before\n" TIME " info torn\n" TIME
                    " warning 2 log lines were dropped: the log did not take them\n");
}

static void test_failed_open_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(log_open("none/log"), -ENOENT);
    log_info("one");
    assert_int_equal(rename("log", "old"), 0);
    assert_int_equal(mkdir("log", 0700), 0);
    assert_int_equal(log_reopen(), -EISDIR);
    log_info("two");
    assert_int_equal(rmdir("log"), 0);
    assert_int_equal(log_reopen(), 0);
    log_info("three");
    assert_log(TIME " info three\n");
    assert_non_null(strstr(read_file("old"), "two\n"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_text),
        TEST(test_json),
        TEST(test_longest_line_is_whole_json),
        TEST(test_levels),
        TEST(test_output_waits_for_the_flush),
        TEST(test_limit),
        TEST(test_lost_lines_are_told),
        TEST(test_lost_lines_are_told_to_workers_lines_too),
        TEST(test_lost_lines_are_told_at_the_end),
        TEST(test_failed_open_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
