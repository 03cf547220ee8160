/* What is read as a control file, and what is not even tried. */
#include "daemon/conf/conf_read.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[64];

static void write_file(const char *name, const char *text, size_t length)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, length, file), length);
    fclose(file);
}

static int setup(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/fcgipool-test-XXXXXX");
    if (!mkdtemp(directory) || chdir(directory) < 0)
        return -1;
    write_file("pool.json", "{}", 2);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", directory);
    return chdir("/") < 0 || system(command) != 0;
}

static void assert_unreadable(const char *file, int error, const char *text)
{
    struct problem problem;
    char *read = NULL;
    size_t length = 0;
    assert_int_equal(conf_read(file, &read, &length, &problem), error);
    assert_string_equal(problem.text, text);
    assert_int_equal(problem.line, 0);
    assert_null(read);
}

static void test_what_is_no_file(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(mkfifo("fifo", 0600), 0);
    assert_unreadable("missing", -ENOENT, "cannot be opened: No such file or directory");
    assert_unreadable(".", -EISDIR, "is a directory, not a control file");
    assert_unreadable("fifo", -EINVAL, "is a FIFO, not a regular file");
    assert_unreadable("socket", -EINVAL, "is a socket or a device, not a regular file");
    assert_unreadable("/dev/zero", -EINVAL, "is a device, not a regular file");
    close(fd);
}

static void test_unreadable_file(void **state)
{
    (void)state;
    assert_int_equal(chmod(directory, 0755), 0);
    assert_int_equal(chmod("pool.json", 0), 0);
    bool root = geteuid() == 0;
    if (root)
        assert_int_equal(seteuid(65534), 0);
    assert_unreadable("pool.json", -EACCES, "cannot be opened: Permission denied");
    if (root)
        assert_int_equal(seteuid(0), 0);
}

static void test_largest_file(void **state)
{
    (void)state;
    struct problem problem;
    char *read = NULL, *text = malloc(CONF_READ_MAX + 1);
    size_t length = 0;
    memset(text, ' ', CONF_READ_MAX + 1);
    memcpy(text, "{}", 2);
    write_file("pool.json", text, CONF_READ_MAX);
    assert_int_equal(conf_read("pool.json", &read, &length, &problem), 0);
    assert_int_equal(length, CONF_READ_MAX);
    assert_memory_equal(read, text, length);
    assert_int_equal(read[length], 0);
    free(read);
    write_file("pool.json", text, CONF_READ_MAX + 1);
    free(text);
    assert_unreadable("pool.json", -EFBIG, "is larger than 1 MiB");
}

static void test_text_must_be_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        bool good;
    } cases[] = {
        {"\xc3\xa9", true},  {"\xe2\x82\xac", true},  {"\xf0\x9f\x98\x80", true}, {"\x80", false},
        {"\xc0\xaf", false}, {"\xe0\x80\xaf", false}, {"\xed\xa0\x80", false},    {"\xf4\x90\x80\x80", false},
        {"\xff", false},     {"\xe2\x82", false},     {"\xf0\x9f\x98", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct problem problem = {0};
        char *read = NULL, text[64];
        size_t length = 0;
        snprintf(text, sizeof text, "{\n \"%s", cases[i].bytes);
        write_file("pool.json", text, strlen(text));
        assert_int_equal(conf_read("pool.json", &read, &length, &problem), cases[i].good ? 0 : -EILSEQ);
        if (!cases[i].good) {
            assert_ptr_equal(strstr(problem.text, "byte 0x"), problem.text);
            assert_int_equal(problem.line, 2);
            assert_int_equal(problem.column, 3);
        }
        free(read);
    }
}

static void test_nul_byte(void **state)
{
    (void)state;
    struct problem problem;
    char *read = NULL;
    size_t length = 0;
    write_file("pool.json", "{}\0", 3);
    assert_int_equal(conf_read("pool.json", &read, &length, &problem), -EILSEQ);
    assert_string_equal(problem.text, "there is a NUL byte; a control file is text");
    assert_int_equal(problem.column, 3);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_no_file),   TEST(test_unreadable_file), TEST(test_largest_file),
        TEST(test_text_must_be_utf8), TEST(test_nul_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
