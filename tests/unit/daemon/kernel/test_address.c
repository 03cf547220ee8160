/*
 * Addresses as text: what is understood, and what a person is told otherwise.
 */
#include "daemon/kernel/address.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void address_text_survives_a_round_trip(void **state)
{
    (void)state;
    static const char *const texts[][2] = {
        {"unix:/run/app.sock", "unix:/run/app.sock"},
        {"unix:app.sock", "unix:app.sock"},
        {"unix:@pool", "unix:@pool"},
        {"127.0.0.1:9000", "127.0.0.1:9000"},
        {"localhost:9000", "127.0.0.1:9000"},
        {"0.0.0.0:0", "0.0.0.0:0"},
        {"[::1]:65535", "[::1]:65535"},
        {"[::]:9000", "[::]:9000"},
        {"*:9000", "*:9000"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char text[ADDRESS_TEXT_SIZE];
        struct problem problem = {0};
        struct address address;
        assert_int_equal(address_parse(texts[i][0], &address, &problem), 0);
        address_format(&address, text, sizeof text);
        assert_string_equal(text, texts[i][1]);
    }
}

static void bad_address_is_told(void **state)
{
    (void)state;
    static const char *const texts[][2] = {
        {"", "write unix:PATH"},
        {"9000", "write unix:PATH"},
        {"/run/app.sock", "write \"unix:/run/app.sock\""},
        {"unix:", "no name"},
        {"unix:@", "no name"},
        {"127.0.0.1:", "no valid port"},
        {"127.0.0.1:65536", "no valid port"},
        {"127.0.0.1:+80", "no valid port"},
        {"127.0.0.1:000080", "no valid port"},
        {":9000", "numeric address"},
        {"example.org:9000", "numeric address"},
        {"[127.0.0.1]:9000", "numeric address"},
        {"[*]:9000", "numeric address"},
        {"[]:9000", "numeric address"},
        {"[::1:9000", "not an address"},
        {"::1:9000", "brackets"},
        {"1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17.18.19.20:1", "numeric address"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct problem problem = {0};
        struct address address = {.length = 99};
        assert_int_equal(address_parse(texts[i][0], &address, &problem), -EINVAL);
        if (strstr(problem.text, texts[i][1]) == NULL)
            fail_msg("%s: \"%s\"", texts[i][0], problem.text);
        assert_int_equal(address.length, 99);
    }
}

static void unix_name_may_have_107_bytes(void **state)
{
    (void)state;
    struct problem problem = {0};
    struct address address;
    char text[5 + 108 + 1] = "unix:";
    memset(text + 5, 'a', 107);
    assert_int_equal(address_parse(text, &address, &problem), 0);
    memset(text + 5, 'a', 108);
    assert_int_equal(address_parse(text, &address, &problem), -EINVAL);
    assert_non_null(strstr(problem.text, "at most 107"));
}

static void unix_names_are_as_the_kernel_has_them(void **state)
{
    (void)state;
    struct problem problem = {0};
    struct address address;
    size_t length;
    assert_int_equal(address_parse("unix:/run/a", &address, &problem), 0);
    assert_string_equal(address_path(&address), "/run/a");
    assert_memory_equal(address_unix_name(&address, &length), "/run/a", 6);
    assert_int_equal(length, 6);

    assert_int_equal(address_parse("unix:@a", &address, &problem), 0);
    assert_null(address_path(&address));
    assert_memory_equal(address_unix_name(&address, &length), "\0a", 2);
    assert_int_equal(length, 2);

    assert_int_equal(address_parse("127.0.0.1:1", &address, &problem), 0);
    assert_null(address_path(&address));
}

static void small_room_cuts_the_text(void **state)
{
    (void)state;
    struct problem problem = {0};
    struct address address;
    char text[8] = "";
    assert_int_equal(address_parse("127.0.0.1:9000", &address, &problem), 0);
    address_format(&address, text, sizeof text);
    assert_string_equal(text, "127.0.0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(address_text_survives_a_round_trip),
        cmocka_unit_test(bad_address_is_told),
        cmocka_unit_test(unix_name_may_have_107_bytes),
        cmocka_unit_test(unix_names_are_as_the_kernel_has_them),
        cmocka_unit_test(small_room_cuts_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
