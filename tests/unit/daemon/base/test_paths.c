/* Paths made by text, and the runtime directory, which must be nobody else's. */
#include "daemon/base/paths.h"

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

static void test_runtime_directory(void **state)
{
    (void)state;
    char path[64] = "before";
    assert_int_equal(paths_runtime_directory_of(0, "/run/user/0", path, sizeof path), 0);
    assert_string_equal(path, "/run/fcgipool");
    assert_int_equal(paths_runtime_directory_of(1000, "/run/user/1000/", path, sizeof path), 0);
    assert_string_equal(path, "/run/user/1000/fcgipool");
    assert_int_equal(paths_runtime_directory_of(1000, NULL, path, sizeof path), 0);
    assert_string_equal(path, "/tmp/fcgipool-1000");
    assert_int_equal(paths_runtime_directory_of(1000, "", path, sizeof path), 0);
    assert_string_equal(path, "/tmp/fcgipool-1000");
    assert_int_equal(paths_runtime_directory_of(1000, "relative", path, sizeof path), 0);
    assert_string_equal(path, "/tmp/fcgipool-1000");
    assert_int_equal(paths_runtime_directory_of(1000, NULL, path, 18), -ENAMETOOLONG);
    assert_int_equal(paths_runtime_directory_of(1000, NULL, path, 19), 0);
}

static void test_control_socket_is_in_the_runtime_directory(void **state)
{
    (void)state;
    char directory[PATH_MAX], path[PATH_MAX];
    assert_int_equal(paths_runtime_directory(directory, sizeof directory), 0);
    strcat(directory, "/app.sock");
    assert_int_equal(paths_control_socket("app", path, sizeof path), 0);
    assert_string_equal(path, directory);
}

static void test_absolute(void **state)
{
    (void)state;
    static const struct {
        const char *base, *path, *expected;
    } cases[] = {
        {"/srv", "app", "/srv/app"},
        {"/srv/", "./app", "/srv/app"},
        {"/srv", "/app", "/app"},
        {"/", "app", "/app"},
        {"/srv", "../app", "/srv/../app"},
        {"/srv//x/", "a//b/.", "/srv/x/a/b"},
        {"/srv", ".", "/srv"},
        {"/", ".", "/"},
        {"/srv", ".hidden/..x", "/srv/.hidden/..x"},
        {"/srv", "", "/srv"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char path[64];
        assert_int_equal(paths_absolute(cases[i].base, cases[i].path, path, sizeof path), 0);
        assert_string_equal(path, cases[i].expected);
    }
    char small[8] = "before";
    assert_int_equal(paths_absolute("/srv", "app", small, sizeof small), -ENAMETOOLONG);
    assert_string_equal(small, "before");
}

static void test_absolute_here(void **state)
{
    (void)state;
    char path[PATH_MAX];
    assert_int_equal(chdir("/usr"), 0);
    assert_int_equal(paths_absolute_here("./x", path, sizeof path), 0);
    assert_string_equal(path, "/usr/x");
    assert_int_equal(paths_absolute_here("/x", path, sizeof path), 0);
    assert_string_equal(path, "/x");
}

static void test_parts(void **state)
{
    (void)state;
    char part[32];
    assert_int_equal(paths_directory("/etc/app.json", part, sizeof part), 0);
    assert_string_equal(part, "/etc");
    assert_int_equal(paths_directory("/app.json", part, sizeof part), 0);
    assert_string_equal(part, "/");
    static const char *const stems[][2] = {{"/etc/app.json", "app"},  {"app", "app"},
                                           {"my.app.json", "my.app"}, {"/x.d/app", "app"},
                                           {".json", ".json"},        {"./app.", "app"}};
    for (size_t i = 0; i < sizeof stems / sizeof stems[0]; i++) {
        assert_int_equal(paths_stem(stems[i][0], part, sizeof part), 0);
        assert_string_equal(part, stems[i][1]);
    }
    assert_int_equal(paths_stem("abcd.json", part, 4), -ENAMETOOLONG);
}

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

static mode_t mode_of(const char *path)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return status.st_mode & 07777;
}

static void test_directory_is_made_with_its_mode(void **state)
{
    (void)state;
    struct problem problem;
    mode_t before = umask(0077);
    assert_int_equal(paths_make_directory("wide", 0755, &problem), 0);
    umask(0);
    assert_int_equal(paths_make_directory("narrow", 0700, &problem), 0);
    umask(before);
    assert_int_equal(mode_of("wide"), 0755);
    assert_int_equal(mode_of("narrow"), 0700);
    assert_int_equal(paths_make_directory("wide", 0700, &problem), 0);
    assert_int_equal(mode_of("wide"), 0755); /* what is there stays as it is */
}

static void assert_refused(const char *path, int error, const char *text)
{
    struct problem problem;
    assert_int_equal(paths_make_directory(path, 0700, &problem), error);
    assert_string_equal(problem.text, text);
}

static void test_what_is_in_the_way_is_refused(void **state)
{
    (void)state;
    assert_int_equal(mkdir("real", 0700), 0);
    assert_int_equal(symlink("real", "link"), 0);
    assert_int_equal(symlink("nowhere", "dangling"), 0);
    fclose(fopen("file", "w"));
    assert_refused("link", -ENOTDIR, "link is not a directory; take it away");
    assert_refused("dangling", -ENOTDIR, "dangling is not a directory; take it away");
    assert_refused("file", -ENOTDIR, "file is not a directory; take it away");
    assert_refused("a/b", -ENOENT, "the directory a/b cannot be made: No such file or directory");
}

static void test_directories_of_others_are_refused(void **state)
{
    (void)state;
    char text[128];
    assert_int_equal(mkdir("open", 0700), 0);
    assert_int_equal(chmod("open", 0770), 0);
    assert_refused("open", -EPERM, "open is writable by others (mode 0770); make it 0700");
    assert_int_equal(chmod("open", 0702), 0);
    assert_refused("open", -EPERM, "open is writable by others (mode 0702); make it 0700");
    if (geteuid() == 0) {
        assert_int_equal(mkdir("foreign", 0700), 0);
        assert_int_equal(chown("foreign", 65534, 65534), 0);
        assert_refused("foreign", -EPERM, "foreign belongs to user 65534, not to us (user 0)");
    } else {
        snprintf(text, sizeof text, "/ belongs to user 0, not to us (user %u)", (unsigned)geteuid());
        assert_refused("/", -EPERM, text);
    }
}

static void test_runtime_directory_is_made(void **state)
{
    (void)state;
    struct problem problem;
    if (geteuid() == 0)
        skip(); /* would be the host's own */
    assert_int_equal(setenv("XDG_RUNTIME_DIR", directory, 1), 0);
    assert_int_equal(paths_make_runtime_directory(&problem), 0);
    assert_int_equal(mode_of("fcgipool"), 0700);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runtime_directory),
        cmocka_unit_test(test_control_socket_is_in_the_runtime_directory),
        cmocka_unit_test(test_absolute),
        cmocka_unit_test(test_absolute_here),
        cmocka_unit_test(test_parts),
        TEST(test_directory_is_made_with_its_mode),
        TEST(test_what_is_in_the_way_is_refused),
        TEST(test_directories_of_others_are_refused),
        TEST(test_runtime_directory_is_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
