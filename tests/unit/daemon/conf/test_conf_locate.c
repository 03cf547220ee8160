/* The control socket is found even when the control file is broken or gone. */
#include "daemon/base/paths.h"
#include "daemon/conf/conf.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[64];

static int setup(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/fcgipool-test-XXXXXX");
    return !mkdtemp(directory) || chdir(directory) < 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", directory);
    return chdir("/") < 0 || system(command) != 0;
}

static void assert_socket(const char *text, const char *expected)
{
    char path[PATH_MAX];
    if (text) {
        FILE *file = fopen("app.json", "w");
        assert_non_null(file);
        fputs(text, file);
        fclose(file);
    }
    assert_int_equal(conf_control_socket("app.json", path, sizeof path), 0);
    assert_string_equal(path, expected);
}

static void assert_name(const char *text, const char *name)
{
    char expected[PATH_MAX];
    assert_int_equal(paths_control_socket(name, expected, sizeof expected), 0);
    assert_socket(text, expected);
}

static void test_name_decides(void **state)
{
    (void)state;
    assert_name("{\"name\": \"shop\"}", "shop");
    assert_name("{\"name\": \"old\", \"n\\u0061me\": \"shop\"}", "shop");
}

static void test_broken_files(void **state)
{
    (void)state;
    assert_name("{\"name\": \"shop\", \"listen\": ", "shop");
    assert_name("{\"name\": \"shop\", \"log\": {\"name\": \"inner\"},,", "shop");
    assert_name("{\"listen\": oops!, \"name\": \"shop\"", "app"); /* not scanned that far */
    assert_name("{\"listen\": 1 \"name\": \"shop\"}", "app");
    assert_name("{\"log\": {\"name\": \"inner\"", "app");
    assert_name("{\"name\": \"sho", "app");
    assert_name("{\"name\":", "app");
    assert_name("", "app");
    assert_name("[\"name\"", "app");
    assert_name("not JSON at all", "app");
}

static void test_unusable_names(void **state)
{
    (void)state;
    assert_name("{\"name\": \"../../etc\"}", "app");
    assert_name("{\"name\": 3}", "app");
    assert_name("{\"name\": \"\"}", "app");
    assert_name("{\"name\": [\"shop\"]}", "app");
}

static void test_missing_files(void **state)
{
    (void)state;
    char path[PATH_MAX], expected[PATH_MAX];
    assert_name(NULL, "app");
    assert_int_equal(paths_control_socket("my.pool", expected, sizeof expected), 0);
    assert_int_equal(conf_control_socket("/nowhere/my.pool.json", path, sizeof path), 0);
    assert_string_equal(path, expected);
    assert_int_equal(mkdir("dir.json", 0700), 0);
    assert_int_equal(mkfifo("fifo.json", 0600), 0);
    assert_int_equal(paths_control_socket("fifo", expected, sizeof expected), 0);
    assert_int_equal(conf_control_socket("fifo.json", path, sizeof path), 0);
    assert_string_equal(path, expected);
    assert_int_equal(conf_control_socket("dir.json", path, sizeof path), 0);
}

static void test_control_socket_decides(void **state)
{
    (void)state;
    char expected[128];
    assert_socket("{\"name\": \"shop\", \"control_socket\": \"/run/./c.sock\", broken", "/run/c.sock");
    snprintf(expected, sizeof expected, "%s/c.sock", directory);
    assert_socket("{\"control_socket\": \"c.sock\"", expected);
    assert_socket("{\"control_socket\": \"c.sock\", \"chdir\": \"/srv\"}", "/srv/c.sock");
    snprintf(expected, sizeof expected, "%s/sub/c.sock", directory);
    assert_socket("{\"control_socket\": \"c.sock\", \"chdir\": \"sub\"}", expected);
    assert_name("{\"control_socket\": 5, \"name\": \"shop\"}", "shop");
}

/* What a valid file gives to conf_load, it gives to the commands that look for the master. */
static void test_agrees_with_loading(void **state)
{
    (void)state;
    static const char *const extras[] = {
        "",
        ", \"name\": \"a \\u0062\"",
        ", \"control_socket\": \"x/../c.sock\"",
        ", \"control_socket\": \"c.sock\", \"chdir\": \"..\"",
        ", \"name\": \"b\", \"control_socket\": \"/tmp/c.sock\"",
    };
    for (size_t i = 0; i < sizeof extras / sizeof extras[0]; i++) {
        char text[256];
        struct problems problems = PROBLEMS_INIT;
        struct conf *conf = NULL;
        snprintf(text, sizeof text, "{\"listen\": \"*:9\", \"command\": [\"/bin/sh\"]%s}", extras[i]);
        FILE *file = fopen("app.json", "w");
        fputs(text, file);
        fclose(file);
        assert_int_equal(conf_load("app.json", NULL, 0, &problems, &conf), 0);
        assert_socket(NULL, conf_text(conf, SETTING_ID_CONTROL_SOCKET));
        conf_free(conf);
        problems_fini(&problems);
    }
}

static void test_too_small_a_buffer(void **state)
{
    (void)state;
    char path[8] = "before";
    assert_int_equal(conf_control_socket("app.json", path, sizeof path), -ENAMETOOLONG);
    assert_string_equal(path, "before");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_name_decides),       TEST(test_broken_files),           TEST(test_unusable_names),
        TEST(test_missing_files),      TEST(test_control_socket_decides), TEST(test_agrees_with_loading),
        TEST(test_too_small_a_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
