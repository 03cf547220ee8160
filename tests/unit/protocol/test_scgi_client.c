/* One request, as it goes out for buffers and bodies of any size. */
#include "protocol/scgi_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define REQUEST "24:CONTENT_LENGTH\0009\0SCGI\0001\0,the body."

static const struct pair params[] = {
    {{(const uint8_t *)"CONTENT_LENGTH", 14}, {(const uint8_t *)"9", 1}},
    {{(const uint8_t *)"SCGI", 4}, {(const uint8_t *)"1", 1}},
};

static struct scgi_client start(void)
{
    struct scgi_client client;

    assert_int_equal(scgi_client_init(&client, params, 2), WIRE_FAULT_NONE);
    return client;
}

static void sends_a_request_to_the_byte(void **state)
{
    struct scgi_client client = start();
    struct bytes body = bytes_of("the body.");
    uint8_t out[256];

    (void)state;
    assert_false(scgi_client_sent(&client));
    assert_int_equal(scgi_client_send(&client, &body, out, sizeof out), sizeof REQUEST - 1);
    assert_memory_equal(out, REQUEST, sizeof REQUEST - 1);
    assert_true(scgi_client_sent(&client));
    assert_int_equal(body.length, 0);
    assert_int_equal(scgi_client_send(&client, &body, out, sizeof out), 0);
}

static void sends_the_same_into_buffers_of_any_size(void **state)
{
    (void)state;
    for (size_t size = 1; size < sizeof REQUEST; size++) {
        struct scgi_client client = start();
        struct bytes body = bytes_of("the body.");
        uint8_t out[256];
        size_t done = 0;

        while (!scgi_client_sent(&client)) {
            size_t wrote = scgi_client_send(&client, &body, out + done, size);

            assert_true(wrote > 0 && wrote <= size);
            done += wrote;
        }
        assert_int_equal(done, sizeof REQUEST - 1);
        assert_memory_equal(out, REQUEST, sizeof REQUEST - 1);
    }
}

static void waits_for_the_body(void **state)
{
    struct scgi_client client = start();
    struct bytes body = {0};
    uint8_t out[256];

    (void)state;
    assert_int_equal(scgi_client_send(&client, &body, out, sizeof out), sizeof REQUEST - 1 - 9);
    assert_int_equal(scgi_client_send(&client, &body, out, sizeof out), 0);
    assert_false(scgi_client_sent(&client));
    body = bytes_of("the ");
    assert_int_equal(scgi_client_send(&client, &body, out, sizeof out), 4);
    assert_false(scgi_client_sent(&client));
    body = bytes_of("body.");
    assert_int_equal(scgi_client_send(&client, &body, out, sizeof out), 5);
    assert_memory_equal(out, "body.", 5);
    assert_true(scgi_client_sent(&client));
}

/* What follows would be bytes that nobody asked for. */
static void sends_no_more_of_the_body_than_was_announced(void **state)
{
    struct scgi_client client = start();
    struct bytes body = bytes_of("the body. And more.");
    uint8_t out[256];

    (void)state;
    assert_int_equal(scgi_client_send(&client, &body, out, sizeof out), sizeof REQUEST - 1);
    assert_memory_equal(out, REQUEST, sizeof REQUEST - 1);
    assert_true(scgi_client_sent(&client));
    assert_int_equal(body.length, 10);
}

static void refuses_parameters_that_cannot_be_encoded(void **state)
{
    struct scgi_client client = {.body_left = 17};

    (void)state;
    assert_int_equal(scgi_client_init(&client, params, 1), WIRE_FAULT_SCGI_VERSION);
    assert_int_equal(client.body_left, 17); /* untouched */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sends_a_request_to_the_byte),
        cmocka_unit_test(sends_the_same_into_buffers_of_any_size),
        cmocka_unit_test(waits_for_the_body),
        cmocka_unit_test(sends_no_more_of_the_body_than_was_announced),
        cmocka_unit_test(refuses_parameters_that_cannot_be_encoded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
