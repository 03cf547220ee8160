/* `fcgipool check` and `fcgipool version` as their users see them: output and exit code. */
#include "daemon/cmd/cmd.h"
#include "daemon/cmd/options.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[64];
static char out[8192], err[8192]; /* of the last command */

static void write_text(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int setup(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/fcgipool-test-XXXXXX");
    if (!mkdtemp(directory) || chdir(directory) < 0)
        return -1;
    write_text("good.json", "{\"listen\": \"*:9000\", \"command\": [\"/bin/sh\"]}");
    write_text("bad.json", "{\"listen\": \"*:9000\", \"command\": [\"/bin/sh\"], \"backlog\": 0}");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", directory);
    return chdir("/") < 0 || system(command) != 0;
}

/* Sends `stream` to a file; returns where it went before. */
static int redirect(FILE *stream, const char *to)
{
    fflush(stream);
    int before = dup(fileno(stream));
    int fd = open(to, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(before >= 0 && fd >= 0 && dup2(fd, fileno(stream)) >= 0);
    close(fd);
    return before;
}

static void restore(FILE *stream, int before, const char *from, char *ret_text, size_t size)
{
    fflush(stream);
    assert_true(dup2(before, fileno(stream)) >= 0);
    close(before);
    FILE *file = fopen(from, "r");
    ret_text[fread(ret_text, 1, size - 1, file)] = '\0';
    fclose(file);
}

static int run(int command(int, char **), const char *const *words)
{
    char copies[8][64], *argv[9] = {NULL};
    int argc = 0;
    for (; words[argc]; argc++) {
        snprintf(copies[argc], sizeof copies[argc], "%s", words[argc]);
        argv[argc] = copies[argc];
    }
    int old_out = redirect(stdout, "stdout.txt"), old_err = redirect(stderr, "stderr.txt");
    int code = command(argc, argv);
    restore(stdout, old_out, "stdout.txt", out, sizeof out);
    restore(stderr, old_err, "stderr.txt", err, sizeof err);
    return code;
}

#define CHECK(...) run(cmd_check, (const char *const[]){"check", __VA_ARGS__, NULL})

static void test_good_file(void **state)
{
    (void)state;
    assert_int_equal(CHECK("good.json"), EXIT_DONE);
    assert_string_equal(out, "good.json: ok\n");
    assert_string_equal(err, "");
}

static void test_bad_file(void **state)
{
    (void)state;
    assert_int_equal(CHECK("bad.json"), EXIT_BAD_CONFIG);
    assert_string_equal(out, "");
    assert_string_equal(err, "bad.json:1:57: backlog: 0 is out of range: 1 to 65535\n");
    assert_int_equal(CHECK("missing.json"), EXIT_BAD_CONFIG);
    assert_string_equal(err, "missing.json: cannot be opened: No such file or directory\n");
}

static void test_warnings_are_no_failure(void **state)
{
    (void)state;
    assert_int_equal(CHECK("--set", "max_requests_jitter=5", "good.json"), EXIT_DONE);
    assert_string_equal(out, "good.json: ok\n");
    assert_string_equal(err, "--set: warning: max_requests_jitter: has no effect without max_requests\n");
}

static void test_overrides_in_order(void **state)
{
    (void)state;
    assert_int_equal(CHECK("good.json", "--set=failures=3", "--dump", "--set", "failures=4"), EXIT_DONE);
    assert_non_null(strstr(out, "\nfailures               = 4 "));
    assert_null(strstr(out, ": ok"));
    assert_int_equal(CHECK("--dump", "--set", "failures=0", "good.json"), EXIT_BAD_CONFIG);
    assert_string_equal(out, "");
}

static void test_usual_file(void **state)
{
    (void)state;
    assert_int_equal(rename("good.json", "pool.json"), 0);
    assert_int_equal(run(cmd_check, (const char *const[]){"check", NULL}), EXIT_DONE);
    assert_string_equal(out, "./pool.json: ok\n");
}

static void test_no_file(void **state)
{
    (void)state;
    if (access("/etc/fcgipool/pool.json", F_OK) == 0)
        skip();
    assert_int_equal(run(cmd_check, (const char *const[]){"check", NULL}), EXIT_USAGE);
    assert_string_equal(err, "fcgipool check: no control file: name one, or have ./pool.json or "
                             "/etc/fcgipool/pool.json\n");
}

static void test_usage(void **state)
{
    (void)state;
    assert_int_equal(CHECK("--help"), EXIT_DONE);
    assert_ptr_equal(strstr(out, "usage: fcgipool check "), out);
    assert_string_equal(err, "");
    assert_int_equal(CHECK("--unknown"), EXIT_USAGE);
    assert_non_null(strstr(err, "usage: fcgipool check "));
    assert_string_equal(out, "");
    assert_int_equal(CHECK("--set"), EXIT_USAGE);
    assert_int_equal(CHECK("good.json", "bad.json"), EXIT_USAGE);
    assert_string_equal(err,
                        "fcgipool check: one control file at most, not \"good.json\" and \"bad.json\"\n");
}

static void test_version(void **state)
{
    (void)state;
    assert_int_equal(run(cmd_version, (const char *const[]){"version", NULL}), EXIT_DONE);
    assert_ptr_equal(strstr(out, "fcgipool "), out);
    assert_non_null(strstr(out, "\nlibev 4."));
    assert_non_null(strstr(out, "\njansson 2."));
    assert_int_equal(run(cmd_version, (const char *const[]){"version", "--help", NULL}), EXIT_DONE);
    assert_ptr_equal(strstr(out, "usage: "), out);
    assert_int_equal(run(cmd_version, (const char *const[]){"version", "x", NULL}), EXIT_USAGE);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_good_file),
        TEST(test_bad_file),
        TEST(test_warnings_are_no_failure),
        TEST(test_overrides_in_order),
        TEST(test_usual_file),
        TEST(test_no_file),
        TEST(test_usage),
        TEST(test_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
