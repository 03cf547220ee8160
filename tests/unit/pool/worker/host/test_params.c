/* Parameters as they come, in pieces, and how they are found. */
#include "pool/worker/host/params.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void add(struct params *params, const char *name, const char *value)
{
    for (; *name; name++)
        params_name(params, (struct bytes){(const uint8_t *)name, 1});
    for (; *value; value++)
        params_value(params, (struct bytes){(const uint8_t *)value, 1});
    params_pair_end(params);
}

static void in_order_and_by_name(void **state)
{
    struct params params = {0};
    (void)state;
    add(&params, "QUERY_STRING", "a=b");
    add(&params, "EMPTY", "");
    add(&params, "", "nameless");
    add(&params, "QUERY", "no");
    add(&params, "TWICE", "first");
    add(&params, "TWICE", "last");
    params_end(&params);
    assert_string_equal(params.list[0], "QUERY_STRING=a=b");
    assert_string_equal(params.list[2], "=nameless");
    assert_null(params.list[6]);
    assert_string_equal(params_find(params.list, "QUERY_STRING"), "a=b");
    assert_string_equal(params_find(params.list, "EMPTY"), "");
    assert_string_equal(params_find(params.list, "TWICE"), "last");
    assert_null(params_find(params.list, "QUERY_STRIN"));
    assert_null(params_find(params.list, "none"));
    params_fini(&params);
}

/* Nobody makes a parameter out of another one's value or name. */
static void none_is_smuggled_in(void **state)
{
    static const uint8_t value[] = "evil\0REMOTE_USER=root", name[] = "REMOTE_USER=root\0";
    struct params params = {0};
    (void)state;
    add(&params, "HTTP_X", "");
    params_name(&params, bytes_of("HTTP_Y"));
    params_value(&params, (struct bytes){value, sizeof value - 1});
    params_pair_end(&params);
    params_name(&params, (struct bytes){name, sizeof name - 1});
    params_pair_end(&params);
    params_end(&params);
    assert_null(params_find(params.list, "REMOTE_USER"));
    assert_string_equal(params_find(params.list, "HTTP_Y"), "evil?REMOTE_USER=root");
    assert_string_equal(params.list[2], "REMOTE_USER?root?=");
    assert_null(params.list[3]);
    params_fini(&params);
}

static void none_at_all(void **state)
{
    struct params params = {0};
    (void)state;
    params_end(&params);
    assert_null(params.list[0]);
    params_fini(&params);
}

static void from_scgi(void **state)
{
    static const char block[] = "27:CONTENT_LENGTH\0"
                                "0\0SCGI\0"
                                "1\0"
                                "N\0\0,";
    struct params params = {0};
    struct scgi_decoder decoder;
    struct bytes input, piece = {0};
    (void)state;
    scgi_decoder_init(&decoder, 1000);
    for (size_t i = 0; i < sizeof block - 1; i++) {
        input = (struct bytes){(const uint8_t *)block + i, 1};
        enum scgi_event event;
        do
            event = params_scgi(&params, scgi_decoder_next(&decoder, &input, &piece), piece);
        while (event != SCGI_EVENT_MORE && event != SCGI_EVENT_END && event != SCGI_EVENT_FAULT);
        assert_int_not_equal(event, SCGI_EVENT_FAULT);
    }
    params_end(&params);
    assert_string_equal(params.list[0], "CONTENT_LENGTH=0");
    assert_string_equal(params.list[1], "SCGI=1");
    assert_string_equal(params.list[2], "N=");
    params_fini(&params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order_and_by_name),
        cmocka_unit_test(none_is_smuggled_in),
        cmocka_unit_test(none_at_all),
        cmocka_unit_test(from_scgi),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
