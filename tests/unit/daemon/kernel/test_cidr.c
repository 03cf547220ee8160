/* Networks from text: what is taken, and what is said of the rest. */
#include "daemon/kernel/cidr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void assert_parses(const char *text, sa_family_t family, const char *address, unsigned prefix)
{
    struct cidr cidr;
    struct problem problem = {0};
    char found[INET6_ADDRSTRLEN];
    if (cidr_parse(text, &cidr, &problem) != 0)
        fail_msg("%s: %s", text, problem.text);
    assert_int_equal(cidr.family, family);
    assert_int_equal(cidr.prefix, prefix);
    assert_non_null(inet_ntop(family, cidr.bytes, found, sizeof found));
    assert_string_equal(found, address);
}

static void assert_refused(const char *text, const char *why)
{
    struct cidr cidr = {.prefix = 77};
    struct problem problem = {0};
    assert_int_equal(cidr_parse(text, &cidr, &problem), -EINVAL);
    if (strstr(problem.text, why) == NULL)
        fail_msg("%s: \"%s\" is not in \"%s\"", text, why, problem.text);
    assert_int_equal(cidr.prefix, 77);
}

static void addresses_and_networks_are_taken(void **state)
{
    (void)state;
    assert_parses("127.0.0.1", AF_INET, "127.0.0.1", 32);
    assert_parses("10.0.0.0/8", AF_INET, "10.0.0.0", 8);
    assert_parses("10.128.0.0/9", AF_INET, "10.128.0.0", 9);
    assert_parses("192.0.2.7/32", AF_INET, "192.0.2.7", 32);
    assert_parses("0.0.0.0/0", AF_INET, "0.0.0.0", 0);
    assert_parses("::1", AF_INET6, "::1", 128);
    assert_parses("2001:db8::/32", AF_INET6, "2001:db8::", 32);
    assert_parses("2001:db8:8000::/33", AF_INET6, "2001:db8:8000::", 33);
    assert_parses("2001:DB8::1/128", AF_INET6, "2001:db8::1", 128);
    assert_parses("::/0", AF_INET6, "::", 0);
    assert_parses("::ffff:0:0:0/80", AF_INET6, "::ffff:0:0:0", 80);
}

static void bits_behind_the_prefix_name_the_network_meant(void **state)
{
    (void)state;
    assert_refused("10.1.2.3/8", "\"10.0.0.0/8\"");
    assert_refused("10.0.0.1/31", "\"10.0.0.0/31\"");
    assert_refused("10.64.0.0/9", "\"10.0.0.0/9\"");
    assert_refused("1.2.3.4/0", "\"0.0.0.0/0\"");
    assert_refused("2001:db8::1/64", "\"2001:db8::/64\"");
    assert_refused("2001:db8:4000::/33", "\"2001:db8::/33\"");
}

static void mapped_addresses_name_what_to_write(void **state)
{
    (void)state;
    assert_refused("::ffff:10.0.0.1", "\"10.0.0.1\"");
    assert_refused("::ffff:10.0.0.0/104", "\"10.0.0.0/8\"");
    assert_refused("::ffff:10.0.0.1/104", "\"10.0.0.0/8\"");
    assert_refused("::ffff:0:0/96", "\"0.0.0.0/0\"");
}

static void anything_else_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "/",
                                      "/8",
                                      "localhost",
                                      "10.0.0",
                                      "10.0.0.256",
                                      "10",
                                      "010.0.0.1",
                                      " 10.0.0.1",
                                      "10.0.0.1 ",
                                      "fe80::1%lo",
                                      "[::1]",
                                      "10.0.0.1:80",
                                      ":::",
                                      "*",
                                      "1:2:3:4:5:6:7:8:9:10:11:12:13:14:15:16:17:18:19:20"};
    static const char *const prefixes[] = {
        "10.0.0.0/",   "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8",   "10.0.0.0/08", "10.0.0.0/8/8",
        "10.0.0.0/8 ", "10.0.0.0/ 8", "::/129",      "::/4294967296", "::/1e1",      "10.0.0.0/255.0.0.0"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_refused(bad[i], "is not a numeric address or network");
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        assert_refused(prefixes[i], "must be a number from 0 to");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_and_networks_are_taken),
        cmocka_unit_test(bits_behind_the_prefix_name_the_network_meant),
        cmocka_unit_test(mapped_addresses_name_what_to_write),
        cmocka_unit_test(anything_else_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
