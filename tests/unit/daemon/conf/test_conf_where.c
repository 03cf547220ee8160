/* Positions in JSON text, duplicate keys, and how far scanning gets in what is broken. */
#include "daemon/conf/conf_where.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_spot(struct conf_where_spot spot, unsigned line, unsigned column)
{
    assert_int_equal(spot.line, line);
    assert_int_equal(spot.column, column);
}

static int scan(struct conf_where *where, const char *text)
{
    return conf_where_init(where, text, strlen(text));
}

static void test_positions(void **state)
{
    (void)state;
    struct conf_where where;
    assert_int_equal(scan(&where, "{\n  \"a\": 1,\n\t\"b\"\n :\n  {\"c\": [true, \"x\"]} }\n"), 0);
    int a = conf_where_member(&where, 0, "a"), b = conf_where_member(&where, 0, "b");
    int c = conf_where_member(&where, b, "c"), x = conf_where_item(&where, c, 1);
    assert_spot(where.nodes[a].key_spot, 2, 3);
    assert_spot(where.nodes[a].value_spot, 2, 8);
    assert_spot(where.nodes[b].key_spot, 3, 2);
    assert_spot(where.nodes[b].value_spot, 5, 3);
    assert_spot(where.nodes[c].key_spot, 5, 4);
    assert_spot(where.nodes[x].value_spot, 5, 16);
    assert_int_equal(where.nodes[x].end - where.nodes[x].begin, strlen("\"x\""));
    assert_int_equal(conf_where_member(&where, 0, "c"), -1);
    assert_int_equal(conf_where_member(&where, c, "0"), -1);
    assert_int_equal(conf_where_item(&where, c, 2), -1);
    assert_int_equal(conf_where_item(&where, 0, 0), -1);
    conf_where_fini(&where);
}

/* "é" is two bytes. */
static void test_columns_are_bytes(void **state)
{
    (void)state;
    struct conf_where where;
    assert_int_equal(scan(&where, "{\"\xc3\xa9\": \"\xc3\xa9\", \"b\": 1}"), 0);
    assert_spot(where.nodes[conf_where_member(&where, 0, "b")].key_spot, 1, 14);
    conf_where_fini(&where);
}

static void test_paths(void **state)
{
    (void)state;
    struct conf_where where;
    char path[32], small[5];
    assert_int_equal(scan(&where, "{\"env\": {\"A\": [0, [1]]}}"), 0);
    int env = conf_where_member(&where, 0, "env"), a = conf_where_member(&where, env, "A");
    conf_where_path(&where, conf_where_item(&where, conf_where_item(&where, a, 1), 0), path, sizeof path);
    assert_string_equal(path, "env.A[1][0]");
    conf_where_path(&where, a, small, sizeof small);
    assert_string_equal(small, "env.");
    conf_where_path(&where, 0, path, sizeof path);
    assert_string_equal(path, "");
    conf_where_fini(&where);
}

static void test_duplicates(void **state)
{
    (void)state;
    struct conf_where where;
    assert_int_equal(scan(&where, "{\"a\": 1, \"b\": {\"a\": 2}, \"\\u0061\": 3, \"a\": 4}"), 0);
    int last = conf_where_member(&where, 0, "a");
    int inner = conf_where_member(&where, conf_where_member(&where, 0, "b"), "a");
    assert_spot(where.nodes[last].key_spot, 1, 38);
    assert_int_equal(where.nodes[where.nodes[last].first].key_spot.column, 2);
    assert_int_equal(where.nodes[inner].first, -1);
    int duplicates = 0;
    for (size_t i = 0; i < where.count; i++)
        duplicates += where.nodes[i].first >= 0;
    assert_int_equal(duplicates, 2);
    conf_where_fini(&where);
}

static void test_keys_are_decoded(void **state)
{
    (void)state;
    struct conf_where where;
    assert_int_equal(scan(&where, "{\"a\\\"\\\\\\u00e9\": 1}"), 0);
    assert_true(conf_where_member(&where, 0, "a\"\\\xc3\xa9") > 0);
    conf_where_fini(&where);
}

static void test_broken_text(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned line, column; /* where it stops */
    } cases[] = {
        {"", 1, 1},
        {" \n", 2, 1},
        {"{", 1, 2},
        {"{\"a\"", 1, 5},
        {"{\"a\" 1}", 1, 6},
        {"{\"a\": }", 1, 7},
        {"{\"a\": 1,}", 1, 9},
        {"{\"a\": 1 \"b\": 2}", 1, 9},
        {"[1, 2", 1, 6},
        {"[1,\n,2]", 2, 1},
        {"{a: 1}", 1, 2},
        {"{\"a\": \"x\ny\"}", 1, 9},
        {"{} {}", 1, 4},
        {"{\"\\uZZZZ\": 1}", 1, 10},
        {"\"abc", 1, 5},
        {"\"abc\\", 1, 6},
        {"[1}", 1, 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct conf_where where;
        assert_int_equal(scan(&where, cases[i].text), -EINVAL);
        assert_spot(where.stop, cases[i].line, cases[i].column);
        conf_where_fini(&where);
    }
}

static void test_what_came_before_the_fault_is_there(void **state)
{
    (void)state;
    struct conf_where where;
    assert_int_equal(scan(&where, "{\"name\": \"x\", \"log\": {\"level\": \"deb"), -EINVAL);
    int log = conf_where_member(&where, 0, "log"), level = conf_where_member(&where, log, "level");
    assert_true(where.nodes[conf_where_member(&where, 0, "name")].end > 0);
    assert_int_equal(where.nodes[log].end, 0);
    assert_int_equal(where.nodes[level].end, 0);
    conf_where_fini(&where);
}

static void test_depth(void **state)
{
    (void)state;
    struct conf_where where;
    char text[3 * CONF_WHERE_DEPTH];
    for (int depth = CONF_WHERE_DEPTH; depth <= CONF_WHERE_DEPTH + 1; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        assert_int_equal(conf_where_init(&where, text, (size_t)(2 * depth)),
                         depth > CONF_WHERE_DEPTH ? -ELOOP : 0);
        conf_where_fini(&where);
    }
}

/* The scanner sees every prefix of a valid text, and that text with each byte damaged: nothing may crash. */
static void test_damaged_texts(void **state)
{
    (void)state;
    static const char text[] = "{\"a\\n\": [1, {\"b\": \"c\\u0041\"}, null], \"a\\n\": -1.5e3, \"\": {}}";
    size_t length = sizeof text - 1;
    struct conf_where where;
    for (size_t i = 0; i < length; i++) {
        assert_int_equal(conf_where_init(&where, text, i), -EINVAL);
        assert_true(where.count >= 1);
        conf_where_fini(&where);
        for (int byte = 0; byte < 256; byte++) {
            char *damaged = malloc(length); /* exactly, for the address sanitizer */
            memcpy(damaged, text, length);
            damaged[i] = (char)byte;
            (void)!conf_where_init(&where, damaged, length);
            assert_true(where.count >= 1);
            conf_where_fini(&where);
            free(damaged);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_positions),
        cmocka_unit_test(test_columns_are_bytes),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_keys_are_decoded),
        cmocka_unit_test(test_broken_text),
        cmocka_unit_test(test_what_came_before_the_fault_is_there),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_damaged_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
