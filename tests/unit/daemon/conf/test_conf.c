/* What the master gets from a control file: overrides, paths, program, environment. */
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

#define MINIMAL "\"listen\": \"unix:x.sock\", \"command\": [\"./app\", \"-x\"]"

static char directory[64]; /* of one test, and its working directory */

static void write_file(const char *name, const char *text, size_t length, mode_t mode)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, length, file), length);
    fclose(file);
    assert_int_equal(chmod(name, mode), 0);
}

static void write_text(const char *name, const char *text)
{
    write_file(name, text, strlen(text), 0600);
}

static int setup(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/fcgipool-test-XXXXXX");
    if (!mkdtemp(directory) || chdir(directory) < 0)
        return -1;
    write_file("app", "#!/bin/sh\n", 10, 0700);
    write_text("pool.json", "{" MINIMAL "}");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", directory);
    return chdir("/") < 0 || system(command) != 0;
}

/* Loads pool.json, and keeps the problems as text. */
static int load(char *const *sets, size_t count, struct conf **ret_conf, char *ret_said, size_t size)
{
    struct problems problems = PROBLEMS_INIT;
    FILE *out = fmemopen(ret_said, size, "w");
    int r = conf_load("pool.json", sets, count, &problems, ret_conf);
    problems_print(&problems, out);
    fclose(out);
    problems_fini(&problems);
    return r;
}

static struct conf *must_load(char *const *sets, size_t count)
{
    struct conf *conf = NULL;
    char said[4096] = "";
    if (load(sets, count, &conf, said, sizeof said) != 0)
        fail_msg("%s", said);
    return conf;
}

static struct conf *must_load_text(const char *text)
{
    write_text("pool.json", text);
    return must_load(NULL, 0);
}

/* `set` alone is refused with `expected`. */
static void assert_set_refused(const char *set, const char *expected)
{
    struct conf *conf = NULL;
    char said[4096] = "", copy[256];
    snprintf(copy, sizeof copy, "%s", set);
    char *const sets[] = {copy};
    assert_int_equal(load(sets, 1, &conf, said, sizeof said), -EINVAL);
    assert_string_equal(said, expected);
    assert_null(conf);
}

static void test_relative_paths_start_from_the_file(void **state)
{
    (void)state;
    char expected[256];
    struct conf *conf =
        must_load_text("{" MINIMAL ", \"pidfile\": \"run//pid\", \"log\": {\"file\": \"/x/log\"}}");
    assert_string_equal(conf_text(conf, SETTING_ID_CHDIR), directory);
    snprintf(expected, sizeof expected, "unix:%s/x.sock", directory);
    assert_string_equal(conf_text(conf, SETTING_ID_LISTEN), expected);
    snprintf(expected, sizeof expected, "%s/run/pid", directory);
    assert_string_equal(conf_text(conf, SETTING_ID_PIDFILE), expected);
    assert_string_equal(conf_text(conf, SETTING_ID_LOG_FILE), "/x/log");
    snprintf(expected, sizeof expected, "%s/pool.json", directory);
    assert_string_equal(conf_file(conf), expected);
    conf_free(conf);
}

static void test_relative_paths_start_from_chdir(void **state)
{
    (void)state;
    char expected[256], program[PATH_MAX];
    assert_int_equal(mkdir("sub", 0700), 0);
    assert_int_equal(rename("app", "sub/app"), 0);
    struct conf *conf = must_load_text("{" MINIMAL ", \"chdir\": \"./sub\", \"pidfile\": \"pid\"}");
    snprintf(expected, sizeof expected, "%s/sub", directory);
    assert_string_equal(conf_text(conf, SETTING_ID_CHDIR), expected);
    snprintf(expected, sizeof expected, "unix:%s/sub/x.sock", directory);
    assert_string_equal(conf_text(conf, SETTING_ID_LISTEN), expected);
    snprintf(expected, sizeof expected, "%s/sub/pid", directory);
    assert_string_equal(conf_text(conf, SETTING_ID_PIDFILE), expected);
    snprintf(expected, sizeof expected, "%s/sub/app", directory);
    assert_int_equal(conf_program(conf, program, sizeof program), 0);
    assert_string_equal(program, expected);
    conf_free(conf);
}

/* A `current` link must lead to the newest release at every reload. */
static void test_links_are_kept(void **state)
{
    (void)state;
    struct conf *conf = NULL;
    struct problems problems = PROBLEMS_INIT;
    char link[128], file[256];
    snprintf(link, sizeof link, "%s/current", directory);
    snprintf(file, sizeof file, "%s/pool.json", link);
    assert_int_equal(symlink(directory, link), 0);
    assert_int_equal(conf_load(file, NULL, 0, &problems, &conf), 0);
    assert_string_equal(conf_file(conf), file);
    assert_string_equal(conf_text(conf, SETTING_ID_CHDIR), link);
    conf_free(conf);
    problems_fini(&problems);
}

static void test_name_and_control_socket(void **state)
{
    (void)state;
    char expected[PATH_MAX];
    struct conf *conf = must_load(NULL, 0);
    assert_string_equal(conf_text(conf, SETTING_ID_NAME), "pool");
    assert_int_equal(paths_control_socket("pool", expected, sizeof expected), 0);
    assert_string_equal(conf_text(conf, SETTING_ID_CONTROL_SOCKET), expected);
    conf_free(conf);

    conf = must_load_text("{" MINIMAL ", \"name\": \"shop 1\"}");
    assert_string_equal(conf_text(conf, SETTING_ID_NAME), "shop 1");
    assert_int_equal(paths_control_socket("shop 1", expected, sizeof expected), 0);
    assert_string_equal(conf_text(conf, SETTING_ID_CONTROL_SOCKET), expected);
    conf_free(conf);

    conf = must_load_text("{" MINIMAL ", \"control_socket\": \"c.sock\"}");
    snprintf(expected, sizeof expected, "%s/c.sock", directory);
    assert_string_equal(conf_text(conf, SETTING_ID_CONTROL_SOCKET), expected);
    conf_free(conf);
}

static void test_stem_that_is_no_name(void **state)
{
    (void)state;
    struct conf *conf = NULL;
    struct problems problems = PROBLEMS_INIT;
    assert_int_equal(rename("pool.json", "caf\xc3\xa9.json"), 0);
    assert_int_equal(conf_load("caf\xc3\xa9.json", NULL, 0, &problems, &conf), -EINVAL);
    assert_int_equal(problems.count, 1);
    assert_string_equal(problems.items[0].path, "name");
    assert_string_equal(problems.items[0].text,
                        "the file's name cannot be the pool's (it must consist of printable "
                        "ASCII characters); set `name`");
    problems_fini(&problems);
}

static void test_words_have_defaults_and_others_none(void **state)
{
    (void)state;
    struct conf *conf = must_load(NULL, 0);
    assert_string_equal(conf_text(conf, SETTING_ID_LOG_LEVEL), "info");
    assert_string_equal(conf_text(conf, SETTING_ID_PROTOCOL), "fastcgi");
    assert_null(conf_text(conf, SETTING_ID_PIDFILE));
    assert_null(conf_json(conf, SETTING_ID_ENV));
    assert_int_equal(json_array_size(conf_json(conf, SETTING_ID_COMMAND)), 2);
    assert_int_equal(conf_listen_owner(conf), (uid_t)-1);
    assert_int_equal(conf_listen_group(conf), (gid_t)-1);
    assert_int_equal(conf_settings(conf)->workers_min, 2);
    conf_free(conf);
}

static void test_owner_and_group(void **state)
{
    (void)state;
    struct conf *conf =
        must_load_text("{" MINIMAL ", \"listen_owner\": \"root\", \"listen_group\": \"4242\"}");
    assert_int_equal(conf_listen_owner(conf), 0);
    assert_int_equal(conf_listen_group(conf), 4242);
    conf_free(conf);
}

static void test_overrides(void **state)
{
    (void)state;
    char a[] = "workers.max=8", b[] = "workers.min=3", c[] = "log={\"level\": \"debug\"}", d[] = "name=other";
    char e[] = "listen_mode=0600", f[] = "listen_group=33", g[] = "timeout=5m", h[] = "command=[\"/bin/sh\"]";
    char *const sets[] = {a, b, c, d, e, f, g, h};
    write_text("pool.json",
               "{" MINIMAL ", \"workers\": 5, \"name\": \"mine\", \"log\": {\"level\": \"error\"}}");
    struct conf *conf = must_load(sets, 8);
    assert_int_equal(conf_settings(conf)->workers_max, 8);
    assert_int_equal(conf_settings(conf)->workers_min, 3);
    assert_int_equal(conf_settings(conf)->listen_mode, 0600);
    assert_int_equal(conf_settings(conf)->timeout_ms, 300000);
    assert_string_equal(conf_text(conf, SETTING_ID_LOG_LEVEL), "debug");
    assert_string_equal(conf_text(conf, SETTING_ID_NAME), "other");
    assert_int_equal(conf_listen_group(conf), 33);
    assert_string_equal(conf_argv(conf)[0], "/bin/sh");
    assert_null(conf_argv(conf)[1]);
    conf_free(conf);
}

static void test_later_override_wins(void **state)
{
    (void)state;
    char a[] = "workers=8", b[] = "workers.min=2", c[] = "workers=6";
    char *const sets[] = {a, b, c};
    struct conf *conf = must_load(sets, 3);
    assert_int_equal(conf_settings(conf)->workers_min, 6);
    assert_int_equal(conf_settings(conf)->workers_max, 6);
    conf_free(conf);
    conf = must_load(sets, 2);
    assert_int_equal(conf_settings(conf)->workers_min, 2);
    assert_int_equal(conf_settings(conf)->workers_max, 8);
    conf_free(conf);
}

static void test_faults_of_overrides(void **state)
{
    (void)state;
    assert_set_refused("nothing", "--set: \"nothing\" is not of the form path=VALUE\n");
    assert_set_refused("=1", "--set: \"=1\" is not of the form path=VALUE\n");
    assert_set_refused("name=\xff", "--set: \"name=?\" is not valid UTF-8\n");
    assert_set_refused("nmae=x", "--set: nmae: unknown setting; did you mean `name`?\n");
    assert_set_refused("log_level=info", "--set: log_level: unknown setting; did you mean `log.level`?\n");
    assert_set_refused("name=", "--set: name: is empty\n");
    assert_set_refused("backlog=x",
                       "--set: backlog: found the string \"x\", expected a whole number like 4\n");
    assert_set_refused("backlog=70000", "--set: backlog: 70000 is out of range: 1 to 65535\n");
    assert_set_refused("workers.max=0", "--set: workers.max: 0 is out of range: 1 to 4096\n");
    assert_set_refused("command=./app",
                       "--set: command: found the string \"./app\", expected a list of strings like "
                       "[\"./app.fcgi\", \"--verbose\"]\n");
    assert_set_refused("env.=x", "--set: env.: the name of a variable must not be empty nor contain '='\n");
}

static void test_faults_of_file_and_overrides_together(void **state)
{
    (void)state;
    struct conf *conf = NULL;
    char said[2048] = "", a[] = "failures=0", b[] = "workers.min=9";
    char *const sets[] = {a, b};
    write_text("pool.json", "{" MINIMAL ",\n \"workers\": 4,\n \"umask\": 1}");
    assert_int_equal(load(sets, 2, &conf, said, sizeof said), -EINVAL);
    assert_string_equal(said,
                        "pool.json:3:11: umask: found the number 1, expected an octal mode in quotes like "
                        "\"0660\"\n"
                        "--set: failures: 0 is out of range: 1 to 1000\n"
                        "--set: workers.min: 9 is more than workers.max, which is 4\n");
}

static const char *variable(const struct conf *conf, const char *name, int *ret_count)
{
    const char *value = NULL;
    *ret_count = 0;
    for (char **entry = conf_environment(conf); *entry; entry++) {
        if (strncmp(*entry, name, strlen(name)) == 0 && (*entry)[strlen(name)] == '=') {
            value = *entry + strlen(name) + 1;
            ++*ret_count;
        }
    }
    return value;
}

static void test_environment(void **state)
{
    (void)state;
    char a[] = "env.B=2", b[] = "env.C=true", c[] = "env.D=a=b";
    char *const sets[] = {a, b, c};
    int count;
    setenv("FCGIPOOL_TEST_KEPT", "kept", 1);
    setenv("FCGIPOOL_TEST_REPLACED", "old", 1);
    write_text("pool.json",
               "{" MINIMAL ", \"env\": {\"A\": \"1\", \"B\": \"x\", \"FCGIPOOL_TEST_REPLACED\": \"new\"}}");
    struct conf *conf = must_load(sets, 3);
    assert_string_equal(variable(conf, "FCGIPOOL_TEST_KEPT", &count), "kept");
    assert_string_equal(variable(conf, "FCGIPOOL_TEST_REPLACED", &count), "new");
    assert_int_equal(count, 1);
    assert_string_equal(variable(conf, "A", &count), "1");
    assert_string_equal(variable(conf, "B", &count), "2");
    assert_int_equal(count, 1);
    assert_string_equal(variable(conf, "C", &count), "true");
    assert_string_equal(variable(conf, "D", &count), "a=b");
    conf_free(conf);
}

static void test_program_in_path(void **state)
{
    (void)state;
    char program[PATH_MAX] = "untouched", expected[128], text[512];
    assert_int_equal(mkdir("a", 0700), 0);
    assert_int_equal(mkdir("b", 0700), 0);
    assert_int_equal(mkdir("b/prog", 0700), 0);
    write_file("a/prog", "x", 1, 0600);
    assert_int_equal(mkdir("c", 0700), 0);
    write_file("c/prog", "x", 1, 0700);
    snprintf(
        text, sizeof text,
        "{\"listen\": \"unix:x\", \"command\": [\"prog\"], \"env\": {\"PATH\": \"/nowhere:%s/a:%s/b:c\"}}",
        directory, directory);
    struct conf *conf = must_load_text(text);
    assert_int_equal(conf_program(conf, program, 5), -ENAMETOOLONG);
    assert_string_equal(program, "untouched");
    assert_int_equal(conf_program(conf, program, sizeof program), 0);
    snprintf(expected, sizeof expected, "%s/c/prog", directory);
    assert_string_equal(program, expected);

    /* Gone, after the file was found valid. */
    assert_int_equal(unlink("c/prog"), 0);
    assert_int_equal(conf_program(conf, program, sizeof program), -EACCES);
    assert_int_equal(unlink("a/prog"), 0);
    assert_int_equal(conf_program(conf, program, sizeof program), -ENOENT);
    assert_string_equal(program, expected);
    conf_free(conf);
}

static void test_program_vanishes(void **state)
{
    (void)state;
    char program[PATH_MAX];
    struct conf *conf = must_load(NULL, 0);
    assert_string_equal(conf_argv(conf)[1], "-x");
    assert_int_equal(chmod("app", 0600), 0);
    assert_int_equal(conf_program(conf, program, sizeof program), -EACCES);
    assert_int_equal(unlink("app"), 0);
    assert_int_equal(conf_program(conf, program, sizeof program), -ENOENT);
    assert_int_equal(mkdir("app", 0700), 0);
    assert_int_equal(conf_program(conf, program, sizeof program), -EISDIR);
    conf_free(conf);
}

static void test_working_directory_is_gone(void **state)
{
    (void)state;
    struct conf *conf = NULL;
    char said[1024] = "", socket[PATH_MAX];
    assert_int_equal(mkdir("gone", 0700), 0);
    assert_int_equal(chdir("gone"), 0);
    assert_int_equal(rmdir("../gone"), 0);
    assert_int_equal(load(NULL, 0, &conf, said, sizeof said), -ENOENT);
    assert_string_equal(said,
                        "pool.json: cannot be found from the working directory: No such file or directory\n");
    assert_int_equal(conf_control_socket("pool.json", socket, sizeof socket), 0);
    assert_int_equal(chdir(directory), 0);
}

static void test_program_without_path(void **state)
{
    (void)state;
    char program[PATH_MAX], *before = strdup(getenv("PATH")), set[] = "command=[\"sh\"]";
    char *const sets[] = {set};
    assert_int_equal(unsetenv("PATH"), 0);
    struct conf *conf = must_load(sets, 1);
    assert_int_equal(conf_program(conf, program, sizeof program), 0);
    assert_true(strcmp(program, "/usr/bin/sh") == 0 || strcmp(program, "/bin/sh") == 0);
    setenv("PATH", before, 1);
    free(before);
    conf_free(conf);
}

static void test_abstract_names_are_bounded(void **state)
{
    (void)state;
    struct conf *conf = NULL;
    char said[2048] = "", set[160] = "listen=unix:@";
    char *const sets[] = {set};
    memset(set + strlen(set), 'x', 120);
    assert_int_equal(load(sets, 1, &conf, said, sizeof said), -EINVAL);
    assert_ptr_equal(strstr(said, "--set: listen: "), said);
}

static void test_dump_is_aligned(void **state)
{
    (void)state;
    char *text = NULL, a[] = "failures=7";
    char *const sets[] = {a};
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    write_text("pool.json",
               "{\"listen\": \"*:9000\",\n\"command\": [\"/bin/sh\"], \"control_socket\": \"/c\",\n"
               "\"chdir\": \"/\"}");
    struct conf *conf = must_load(sets, 1);
    conf_dump(conf, out);
    fclose(out);
    assert_non_null(strstr(text, "name                   = \"pool\"       # default\n"
                                 "pidfile                = null         # default\n"
                                 "control_socket         = \"/c\"         # pool.json:2\n"
                                 "chdir                  = \"/\"          # pool.json:3\n"));
    assert_non_null(strstr(text, "\nlisten                 = \"*:9000\"     # pool.json:1\n"));
    assert_non_null(strstr(text, "\nfailures               = 7            # --set\n"));
    int lines = 0;
    for (const char *c = text; *c; c++)
        lines += *c == '\n';
    assert_int_equal(lines, SETTING_IDS);
    conf_free(conf);
    free(text);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_relative_paths_start_from_the_file),
        TEST(test_relative_paths_start_from_chdir),
        TEST(test_links_are_kept),
        TEST(test_name_and_control_socket),
        TEST(test_stem_that_is_no_name),
        TEST(test_words_have_defaults_and_others_none),
        TEST(test_owner_and_group),
        TEST(test_overrides),
        TEST(test_later_override_wins),
        TEST(test_faults_of_overrides),
        TEST(test_faults_of_file_and_overrides_together),
        TEST(test_environment),
        TEST(test_program_in_path),
        TEST(test_program_vanishes),
        TEST(test_working_directory_is_gone),
        TEST(test_program_without_path),
        TEST(test_abstract_names_are_bounded),
        TEST(test_dump_is_aligned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
