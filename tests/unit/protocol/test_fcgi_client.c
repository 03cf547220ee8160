/* One request: what goes out for buffers and bodies of any size, and what answers mean, split anywhere. */
#include "protocol/fcgi_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- what is sent ---- */

static struct fcgi_client start(const struct pair *params, size_t count, uint8_t flags)
{
    struct fcgi_client client;

    assert_int_equal(fcgi_client_init(&client, params, count, flags), WIRE_FAULT_NONE);
    return client;
}

static const uint8_t small_request[] = {
    1, 1, 0, 1, 0, 8, 0, 0, 0,   1,   0,   0,   0,   0,   0,   0,                    /* BEGIN_REQUEST */
    1, 4, 0, 1, 0, 7, 1, 0, 1,   4,   'N', 'v', 'a', 'l', 'u', 0,                    /* PARAMS */
    1, 4, 0, 1, 0, 0, 0, 0,                                                          /* their end */
    1, 5, 0, 1, 0, 9, 7, 0, 't', 'h', 'e', ' ', 'b', 'o', 'd', 'y', '.', 0, 0, 0, 0, /* STDIN */
    0, 0, 0,                                                                         /* padded */
    1, 5, 0, 1, 0, 0, 0, 0,                                                          /* its end */
};

static const struct pair small_pair = {{(const uint8_t *)"N", 1}, {(const uint8_t *)"valu", 4}};

static void sends_a_request_to_the_byte(void **state)
{
    struct fcgi_client client = start(&small_pair, 1, 0);
    struct bytes body = bytes_of("the body.");
    uint8_t out[256];

    (void)state;
    assert_false(fcgi_client_sent(&client));
    assert_int_equal(fcgi_client_send(&client, &body, true, out, sizeof out), sizeof small_request);
    assert_memory_equal(out, small_request, sizeof small_request);
    assert_true(fcgi_client_sent(&client));
    assert_int_equal(body.length, 0);
    assert_int_equal(fcgi_client_send(&client, &body, true, out, sizeof out), 0);
}

static void sends_the_same_into_buffers_of_any_size(void **state)
{
    (void)state;
    for (size_t size = 1; size <= sizeof small_request; size++) {
        struct fcgi_client client = start(&small_pair, 1, 0);
        struct bytes body = bytes_of("the body.");
        uint8_t out[256];
        size_t done = 0;

        while (!fcgi_client_sent(&client))
            done += fcgi_client_send(&client, &body, true, out + done, size);
        assert_int_equal(done, sizeof small_request);
        assert_memory_equal(out, small_request, sizeof small_request);
    }
}

static void asks_to_keep_the_connection_only_when_told(void **state)
{
    struct fcgi_client client = start(NULL, 0, FCGI_KEEP_CONN);
    struct bytes body = {0};
    uint8_t out[64];

    (void)state;
    assert_int_equal(fcgi_client_send(&client, &body, true, out, sizeof out), 16 + 8 + 8);
    assert_int_equal(out[10], FCGI_KEEP_CONN);
    assert_int_equal(small_request[10], 0);
    /* no parameters: the empty record alone */
    assert_memory_equal(out + 16, "\1\4\0\1\0\0\0\0\1\5\0\1\0\0\0\0", 16);
}

/* What a stream of the request says, put together from its records. */
struct stream {
    uint8_t *data;
    size_t length;
    size_t records;
    bool ended;
};

static void collect(const uint8_t *sent, size_t length, struct stream *ret_params, struct stream *ret_body)
{
    struct bytes input = {.data = sent, .length = length};
    struct fcgi_parser parser;
    struct bytes content;
    struct stream *stream = NULL;
    enum fcgi_event event;

    fcgi_parser_init(&parser);
    while ((event = fcgi_parser_next(&parser, &input, &content)) != FCGI_EVENT_MORE) {
        assert_int_not_equal(event, FCGI_EVENT_FAULT);
        assert_int_equal(parser.header.request_id, FCGI_CLIENT_REQUEST_ID);
        stream = parser.header.type == FCGI_PARAMS  ? ret_params
                 : parser.header.type == FCGI_STDIN ? ret_body
                                                    : NULL;
        if (event == FCGI_EVENT_HEADER)
            assert_int_equal((parser.header.content_length + parser.header.padding_length) % 8, 0);
        if (!stream || event == FCGI_EVENT_HEADER)
            continue;
        assert_false(stream->ended);
        if (event == FCGI_EVENT_CONTENT) {
            memcpy(stream->data + stream->length, content.data, content.length);
            stream->length += content.length;
        } else {
            stream->records++;
            stream->ended = parser.header.content_length == 0;
        }
    }
    assert_true(fcgi_parser_idle(&parser));
    assert_true(ret_params->ended && ret_body->ended);
}

static uint8_t *noise(size_t length)
{
    uint8_t *data = test_malloc(length + 1);

    for (size_t i = 0; i < length; i++)
        data[i] = (uint8_t)(i * 7 + i / 251);
    return data;
}

/* A value longer than a record, and a body that is offered bit by bit. */
static void splits_long_streams_over_records(void **state)
{
    enum { VALUE = 150000, BODY = 200000, ROOM = 400000 };
    uint8_t *value = noise(VALUE);
    uint8_t *text = noise(BODY);
    uint8_t *sent = test_malloc(ROOM);
    struct stream params = {.data = test_malloc(ROOM)};
    struct stream stdin_stream = {.data = test_malloc(ROOM)};
    const struct pair pair = {bytes_of("LONG"), {value, VALUE}};
    struct fcgi_client client = start(&pair, 1, 0);
    struct bytes body = {.data = text};
    size_t done = 0;
    size_t offered = 0;

    (void)state;
    while (!fcgi_client_sent(&client)) {
        size_t more = BODY - offered < 7919 ? BODY - offered : 7919;

        body.length += more;
        offered += more;
        done += fcgi_client_send(&client, &body, offered == BODY, sent + done, 4093);
    }
    collect(sent, done, &params, &stdin_stream);
    assert_int_equal(params.length, 1 + 4 + 4 + VALUE);
    assert_int_equal(params.records, 3 + 1);
    assert_memory_equal(params.data + 9, value, VALUE);
    assert_int_equal(stdin_stream.length, BODY);
    assert_memory_equal(stdin_stream.data, text, BODY);
    test_free(value);
    test_free(text);
    test_free(sent);
    test_free(params.data);
    test_free(stdin_stream.data);
}

static void waits_for_the_body(void **state)
{
    struct fcgi_client client = start(NULL, 0, 0);
    struct bytes body = {0};
    uint8_t out[64];

    (void)state;
    assert_int_equal(fcgi_client_send(&client, &body, false, out, sizeof out), 16 + 8);
    assert_int_equal(fcgi_client_send(&client, &body, false, out, sizeof out), 0);
    assert_false(fcgi_client_sent(&client));

    /* a record of four is announced, of which two are taken back: it waits for them */
    body = bytes_of("abcd");
    assert_int_equal(fcgi_client_send(&client, &body, false, out, 8 + 2), 10);
    assert_memory_equal(out, "\1\5\0\1\0\4\4\0ab", 10);
    assert_int_equal(fcgi_client_send(&client, &(struct bytes){0}, false, out, sizeof out), 0);
    assert_int_equal(body.length, 2);
    assert_int_equal(fcgi_client_send(&client, &body, true, out, sizeof out), 2 + 4 + 8);
    assert_memory_equal(out, "cd\0\0\0\0\1\5\0\1\0\0\0\0", 14);
    assert_true(fcgi_client_sent(&client));
}

static void refuses_parameters_that_cannot_be_encoded(void **state)
{
    const struct pair pair = {{NULL, 1}, {NULL, (size_t)FCGI_LENGTH_MAX + 1}};
    struct fcgi_client client = {.fault = WIRE_FAULT_TYPE};

    (void)state;
    assert_int_equal(fcgi_client_init(&client, &pair, 1, 0), WIRE_FAULT_VALUE_LENGTH);
    assert_int_equal(client.fault, WIRE_FAULT_TYPE); /* untouched */
}

/* ---- what is received ---- */

struct answer {
    char out[128];
    char err[128];
    unsigned ends;
    struct fcgi_end_request end;
    enum wire_fault fault;
    enum wire_fault eof;
};

static void feed(struct fcgi_client *client, struct answer *answer, const uint8_t *data, size_t length)
{
    uint8_t *copy = test_malloc(length + 1);
    struct bytes input = {.data = copy + 1, .length = length};
    struct bytes piece;

    memcpy(copy + 1, data, length);
    for (;;) {
        switch (fcgi_client_receive(client, &input, &piece)) {
        case FCGI_CLIENT_STDOUT:
            assert_true(piece.length > 0);
            strncat(answer->out, (const char *)piece.data, piece.length);
            continue;
        case FCGI_CLIENT_STDERR:
            assert_true(piece.length > 0);
            strncat(answer->err, (const char *)piece.data, piece.length);
            continue;
        case FCGI_CLIENT_END:
            answer->ends++;
            answer->end = client->end;
            continue;
        case FCGI_CLIENT_FAULT:
            answer->fault = client->fault;
            break;
        case FCGI_CLIENT_MORE:
            assert_int_equal(input.length, 0);
            break;
        }
        break;
    }
    answer->eof = fcgi_client_eof(client);
    test_free(copy);
}

/* The answer must be the same in one piece and at every split in two. */
static struct answer receive(const void *data, size_t length)
{
    struct answer whole = {0};
    struct fcgi_client client = start(NULL, 0, 0);

    feed(&client, &whole, data, length);
    for (size_t split = 0; split <= length; split++) {
        struct answer answer = {0};

        client = start(NULL, 0, 0);
        feed(&client, &answer, data, split);
        feed(&client, &answer, (const uint8_t *)data + split, length - split);
        assert_string_equal(answer.out, whole.out);
        assert_string_equal(answer.err, whole.err);
        assert_int_equal(answer.ends, whole.ends);
        assert_int_equal(answer.end.app_status, whole.end.app_status);
        assert_int_equal(answer.end.protocol_status, whole.end.protocol_status);
        assert_int_equal(answer.fault, whole.fault);
        assert_int_equal(answer.eof, whole.eof);
    }
    return whole;
}

#define RECEIVE(text) receive(text, sizeof text - 1)

#define OUT_HELLO "\1\6\0\1\0\5\3\0hello\0\0\0"
#define OUT_END   "\1\6\0\1\0\0\0\0"
#define ERR_OUCH  "\1\7\0\1\0\4\0\0ouch"
#define ERR_END   "\1\7\0\1\0\0\0\0"
#define END       "\1\3\0\1\0\x8\0\0\x1\x2\x3\x4\0\0\0\0"
#define VALUES    "\1\xa\0\0\0\3\1\0abc\0"
#define UNKNOWN   "\1\xb\0\0\0\x8\0\0\x9\0\0\0\0\0\0\0"
#define FUTURE    "\1\x63\0\0\0\1\0\0?"

static void reads_an_answer(void **state)
{
    struct answer answer = RECEIVE(OUT_HELLO ERR_OUCH OUT_HELLO OUT_END ERR_END END);

    (void)state;
    assert_string_equal(answer.out, "hellohello");
    assert_string_equal(answer.err, "ouch");
    assert_int_equal(answer.ends, 1);
    assert_int_equal(answer.end.app_status, 0x01020304);
    assert_int_equal(answer.end.protocol_status, FCGI_REQUEST_COMPLETE);
    assert_int_equal(answer.fault, WIRE_FAULT_NONE);
    assert_int_equal(answer.eof, WIRE_FAULT_NONE);
}

static void an_answer_may_leave_its_streams_open_or_end_them_twice(void **state)
{
    (void)state;
    assert_int_equal(RECEIVE(OUT_HELLO END).eof, WIRE_FAULT_NONE);
    assert_int_equal(RECEIVE(OUT_END OUT_END ERR_END ERR_END END).eof, WIRE_FAULT_NONE);
    assert_int_equal(RECEIVE(END).ends, 1);
}

static void a_rejection_is_told(void **state)
{
    struct answer answer = RECEIVE("\1\3\0\1\0\x8\0\0\0\0\0\0\2\0\0\0");

    (void)state;
    assert_int_equal(answer.ends, 1);
    assert_int_equal(answer.end.protocol_status, FCGI_OVERLOADED);
    assert_int_equal(answer.end.app_status, 0);
}

static void management_records_are_skipped(void **state)
{
    struct answer answer = RECEIVE(VALUES OUT_HELLO UNKNOWN OUT_END FUTURE END VALUES UNKNOWN FUTURE);

    (void)state;
    assert_string_equal(answer.out, "hello");
    assert_int_equal(answer.ends, 1);
    assert_int_equal(answer.fault, WIRE_FAULT_NONE);
    assert_int_equal(answer.eof, WIRE_FAULT_NONE);
}

static void an_end_before_the_end_is_a_cut(void **state)
{
    static const char text[] = OUT_HELLO OUT_END END;

    (void)state;
    for (size_t length = 0; length < sizeof text - 1; length++)
        assert_int_equal(receive(text, length).eof, WIRE_FAULT_CUT);
    assert_int_equal(receive(text, sizeof text - 1).eof, WIRE_FAULT_NONE);
    /* half a record after the end */
    assert_int_equal(RECEIVE(END "\1\xa").eof, WIRE_FAULT_CUT);
}

static void each_fault_is_found(void **state)
{
    static const struct {
        const char *text;
        size_t length;
        enum wire_fault fault;
    } rows[] = {
#define ROW(text, fault) {text, sizeof text - 1, WIRE_FAULT_##fault}
        ROW(OUT_HELLO "HTTP/1.1", VERSION),
        ROW(OUT_HELLO "\0", VERSION),
        ROW("\1\6\0\2\0\1\0\0x", REQUEST_ID),
        ROW("\1\7\1\1\0\0\0\0", REQUEST_ID),
        ROW("\1\3\0\2\0\x8\0\0\0\0\0\0\0\0\0\0", REQUEST_ID),
        ROW("\1\6\0\0\0\1\0\0x", NULL_REQUEST_ID),
        ROW("\1\1\0\0\0\0\0\0", NULL_REQUEST_ID),
        ROW("\1\x8\0\0\0\0\0\0", NULL_REQUEST_ID),
        ROW("\1\x9\0\1\0\0\0\0", MANAGEMENT_ID),
        ROW("\1\xa\0\1\0\0\0\0", MANAGEMENT_ID),
        ROW("\1\xb\0\1\0\0\0\0", MANAGEMENT_ID),
        ROW("\1\x9\0\0\0\0\0\0", TYPE),
        ROW("\1\0\0\1\0\0\0\0", TYPE),
        ROW("\1\1\0\1\0\x8\0\0\0\1\0\0\0\0\0\0", TYPE),
        ROW("\1\5\0\1\0\1\0\0x", TYPE),
        ROW("\1\xc\0\1\0\0\0\0", TYPE),
        ROW("\1\3\0\1\0\x7\0\0\0\0\0\0\0\0\0", BODY_LENGTH),
        ROW("\1\3\0\1\0\x9\0\0\0\0\0\0\0\0\0\0\0", BODY_LENGTH),
        ROW("\1\3\0\1\0\0\0\0", BODY_LENGTH),
        ROW(OUT_END OUT_HELLO, STREAM_ENDED),
        ROW(ERR_END ERR_OUCH, STREAM_ENDED),
        ROW(END OUT_END, AFTER_END),
        ROW(END ERR_OUCH, AFTER_END),
        ROW(END END, AFTER_END),
        ROW(END "GET /", VERSION),
#undef ROW
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct answer answer = receive(rows[i].text, rows[i].length);

        assert_int_equal(answer.fault, rows[i].fault);
        assert_int_equal(answer.eof, rows[i].fault);
        assert_true(answer.ends <= 1);
    }
}

static void a_refused_answer_stays_refused(void **state)
{
    struct fcgi_client client = start(NULL, 0, 0);
    struct answer answer = {0};

    (void)state;
    feed(&client, &answer, (const uint8_t *)"\2", 1);
    feed(&client, &answer, (const uint8_t *)OUT_HELLO END, sizeof OUT_HELLO END - 1);
    assert_int_equal(answer.fault, WIRE_FAULT_VERSION);
    assert_string_equal(answer.out, "");
    assert_int_equal(answer.ends, 0);
}

/* An application may answer before it has read the body (6.1). */
static void receives_while_it_sends(void **state)
{
    struct fcgi_client client = start(&small_pair, 1, 0);
    struct bytes body = bytes_of("the body.");
    struct answer answer = {0};
    uint8_t out[256];
    size_t done = fcgi_client_send(&client, &body, true, out, 45);

    (void)state;
    feed(&client, &answer, (const uint8_t *)OUT_HELLO END, sizeof OUT_HELLO END - 1);
    assert_int_equal(answer.eof, WIRE_FAULT_NONE);
    done += fcgi_client_send(&client, &body, true, out + done, sizeof out - done);
    assert_int_equal(done, sizeof small_request);
    assert_memory_equal(out, small_request, sizeof small_request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sends_a_request_to_the_byte),
        cmocka_unit_test(sends_the_same_into_buffers_of_any_size),
        cmocka_unit_test(asks_to_keep_the_connection_only_when_told),
        cmocka_unit_test(splits_long_streams_over_records),
        cmocka_unit_test(waits_for_the_body),
        cmocka_unit_test(refuses_parameters_that_cannot_be_encoded),
        cmocka_unit_test(reads_an_answer),
        cmocka_unit_test(an_answer_may_leave_its_streams_open_or_end_them_twice),
        cmocka_unit_test(a_rejection_is_told),
        cmocka_unit_test(management_records_are_skipped),
        cmocka_unit_test(an_end_before_the_end_is_a_cut),
        cmocka_unit_test(each_fault_is_found),
        cmocka_unit_test(a_refused_answer_stays_refused),
        cmocka_unit_test(receives_while_it_sends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
