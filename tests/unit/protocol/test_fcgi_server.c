/* The application's side of a connection: what is heard of many requests at a time, split anywhere, what is
 * answered to questions, and what is refused. */
#include "protocol/fcgi_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- what the web server sends ---- */

struct wire {
    uint8_t data[4096];
    size_t length;
};

static void put(struct wire *wire, const void *data, size_t length)
{
    assert_true(length <= sizeof wire->data - wire->length);
    if (length > 0)
        memcpy(wire->data + wire->length, data, length);
    wire->length += length;
}

static void record(struct wire *wire, uint8_t type, uint16_t id, const void *content, size_t length)
{
    struct fcgi_header header = {type, id, (uint16_t)length, fcgi_padding((uint16_t)length)};
    uint8_t raw[FCGI_HEADER_LENGTH];

    fcgi_encode_header(&header, raw);
    put(wire, raw, sizeof raw);
    put(wire, content, length);
    put(wire, "\0\0\0\0\0\0\0", header.padding_length);
}

static void text(struct wire *wire, uint8_t type, uint16_t id, const char *content)
{
    record(wire, type, id, content, strlen(content));
}

static void begin(struct wire *wire, uint16_t id, uint16_t role, uint8_t flags)
{
    struct fcgi_begin_request body = {role, flags};
    uint8_t raw[FCGI_HEADER_LENGTH + FCGI_BODY_LENGTH];

    fcgi_encode_begin_request(id, &body, raw);
    put(wire, raw, sizeof raw);
}

/* ---- what is heard of it ---- */

#define CAPACITY 3

struct hearing {
    struct fcgi_server server;
    struct fcgi_server_request *places[CAPACITY];
    struct fcgi_server_request requests[64]; /* in the order of their begin */
    uint32_t count;
    char story[4096]; /* an event a word; the pieces of a name, value or body in one */
    char open[8];     /* how the last word goes on, if it does */
    struct wire replies;
};

static const struct fcgi_server_limits limits = {
    .capacity = CAPACITY,
    .max_conns = 1000,
    .max_reqs = 4294967295,
    .params = {.name = 64, .value = 64, .total = 256},
};

static void listen_with(struct hearing *hearing, const struct fcgi_server_limits *with)
{
    *hearing = (struct hearing){0};
    fcgi_server_init(&hearing->server, hearing->places, with);
}

static void tell(struct hearing *hearing, const char *word, uint16_t id, const struct bytes *piece)
{
    char open[sizeof hearing->open];
    size_t length = strlen(hearing->story);
    const char *separator = length > 0 ? " " : "";

    snprintf(open, sizeof open, "%c%u", *word, id);
    if (!piece || strcmp(open, hearing->open) != 0)
        length += (size_t)snprintf(hearing->story + length, sizeof hearing->story - length, "%s%u:%s%s",
                                   separator, id, word, piece ? "=" : "");
    if (piece)
        snprintf(hearing->story + length, sizeof hearing->story - length, "%.*s", (int)piece->length,
                 (const char *)piece->data);
    strcpy(hearing->open, piece ? open : "");
}

static void take(struct hearing *hearing)
{
    struct fcgi_server_request *request = &hearing->requests[hearing->count++];

    fcgi_server_take(&hearing->server, request);
    tell(hearing, "begin", request->id, NULL);
}

static void hear_event(struct hearing *hearing, enum fcgi_server_event event,
                       const struct fcgi_server_request *request, struct bytes piece)
{
    static const char *const words[] = {
        [FCGI_SERVER_PAIR] = "pair",       [FCGI_SERVER_NAME] = "name",         [FCGI_SERVER_VALUE] = "value",
        [FCGI_SERVER_PAIR_END] = "paired", [FCGI_SERVER_PARAMS_END] = "params", [FCGI_SERVER_STDIN] = "body",
        [FCGI_SERVER_STDIN_END] = "all",   [FCGI_SERVER_ABORT] = "abort",
    };
    bool is_piece = event == FCGI_SERVER_NAME || event == FCGI_SERVER_VALUE || event == FCGI_SERVER_STDIN;

    if (event == FCGI_SERVER_REPLY)
        put(&hearing->replies, piece.data, piece.length);
    else if (event == FCGI_SERVER_FAULT)
        tell(hearing, "fault", 0, NULL);
    else if (event == FCGI_SERVER_BEGIN)
        take(hearing);
    else
        tell(hearing, words[event], request->id, is_piece ? &piece : NULL);
    assert_true(!is_piece || piece.length > 0);
}

/* Out of memory of its own, so that a sanitizer sees whoever reads beyond it. */
static void hear(struct hearing *hearing, const uint8_t *data, size_t length)
{
    uint8_t *copy = test_malloc(length + 1);
    struct bytes input = {copy, length}, piece = {0};
    struct fcgi_server_request *request;
    enum fcgi_server_event event;

    bytes_copy(copy, (struct bytes){data, length});
    while ((event = fcgi_server_next(&hearing->server, &input, &request, &piece)) != FCGI_SERVER_MORE) {
        hear_event(hearing, event, request, piece);
        if (event == FCGI_SERVER_FAULT)
            break;
    }
    assert_true(event == FCGI_SERVER_FAULT || input.length == 0);
    test_free(copy);
}

static struct hearing *hear_all(const struct wire *wire)
{
    static struct hearing hearing;

    listen_with(&hearing, &limits);
    hear(&hearing, wire->data, wire->length);
    return &hearing;
}

static void assert_story(const struct wire *wire, const char *expected)
{
    struct hearing *hearing = hear_all(wire);

    assert_string_equal(hearing->story, expected);
    assert_int_equal(hearing->server.fault, WIRE_FAULT_NONE);
}

/* Fails, and goes on to. */
static void assert_fault(const struct wire *wire, enum wire_fault fault)
{
    struct hearing *hearing = hear_all(wire);

    assert_int_equal(hearing->server.fault, fault);
    assert_int_equal(fcgi_server_eof(&hearing->server), fault);
    hear(hearing, (const uint8_t *)"\1", 1);
    assert_int_equal(hearing->server.fault, fault);
}

/* ---- one request ---- */

static void one_request(void **state)
{
    struct wire wire = {0};

    (void)state;
    begin(&wire, 1, FCGI_RESPONDER, FCGI_KEEP_CONN);
    text(&wire, FCGI_PARAMS, 1, "\1\3Aone\1\2");
    text(&wire, FCGI_PARAMS, 1, "Bzw"); /* a pair across two records */
    text(&wire, FCGI_PARAMS, 1, "");
    text(&wire, FCGI_STDIN, 1, "some ");
    text(&wire, FCGI_STDIN, 1, "body");
    text(&wire, FCGI_STDIN, 1, "");
    assert_story(&wire, "1:begin 1:pair 1:name=A 1:value=one 1:paired 1:pair 1:name=B 1:value=zw 1:paired "
                        "1:params 1:body=some body 1:all");
}

static void the_flag_of_each_request_is_told(void **state)
{
    struct wire wire = {0};
    const struct fcgi_server *server = &hear_all(&wire)->server;

    (void)state;
    begin(&wire, 2, FCGI_AUTHORIZER, FCGI_KEEP_CONN | 0x80);
    hear_all(&wire);
    assert_true(server->keeps);
    assert_int_equal(server->begun.flags, FCGI_KEEP_CONN | 0x80);
    assert_int_equal(server->begun.role, FCGI_AUTHORIZER);
    begin(&wire, 3, FCGI_RESPONDER, 0);
    hear_all(&wire);
    assert_false(server->keeps);
    assert_int_equal(server->begun.flags, 0);
    assert_int_equal(server->active, 2);
}

static void who_is_not_taken_is_skipped(void **state)
{
    static struct hearing hearing;
    struct wire wire = {0}, rest = {0};
    struct fcgi_server_request *request;
    struct bytes input, piece;

    (void)state;
    listen_with(&hearing, &limits);
    begin(&wire, 1, FCGI_RESPONDER, 0);
    input = (struct bytes){wire.data, wire.length};
    assert_int_equal(fcgi_server_next(&hearing.server, &input, &request, &piece), FCGI_SERVER_BEGIN);
    text(&rest, FCGI_PARAMS, 1, "\1\1Xa");
    text(&rest, FCGI_PARAMS, 1, "");
    begin(&rest, 1, FCGI_RESPONDER, 0);
    hear(&hearing, rest.data, rest.length);
    assert_string_equal(hearing.story, "1:begin");
}

static void lengths_are_told_before_the_bytes(void **state)
{
    static struct hearing hearing;
    struct wire wire = {0};
    struct fcgi_server_request *request;
    struct bytes input, piece;

    (void)state;
    listen_with(&hearing, &limits);
    begin(&wire, 1, FCGI_RESPONDER, 0);
    text(&wire, FCGI_PARAMS, 1, "\4\5NAMEvalue");
    input = (struct bytes){wire.data, wire.length};
    assert_int_equal(fcgi_server_next(&hearing.server, &input, &request, &piece), FCGI_SERVER_BEGIN);
    fcgi_server_take(&hearing.server, &hearing.requests[0]);
    assert_int_equal(fcgi_server_next(&hearing.server, &input, &request, &piece), FCGI_SERVER_PAIR);
    assert_int_equal(request->params.name_length, 4);
    assert_int_equal(request->params.value_length, 5);
}

static void an_end_that_comes_twice_is_told_once(void **state)
{
    struct wire wire = {0};

    (void)state;
    begin(&wire, 1, FCGI_RESPONDER, 0);
    for (int i = 0; i < 2; i++)
        text(&wire, FCGI_PARAMS, 1, "");
    for (int i = 0; i < 2; i++)
        text(&wire, FCGI_STDIN, 1, "");
    text(&wire, FCGI_PARAMS, 1, "");
    assert_story(&wire, "1:begin 1:params 1:all");
}

/* ---- many ---- */

/* Three at a time, their records mixed, a question in the middle, and one that is aborted. */
static struct wire mixed(void)
{
    struct wire wire = {0};

    begin(&wire, 7, FCGI_RESPONDER, FCGI_KEEP_CONN);
    begin(&wire, 8, FCGI_RESPONDER, FCGI_KEEP_CONN);
    text(&wire, FCGI_PARAMS, 7, "\1\1Xa");
    text(&wire, FCGI_PARAMS, 8, "\1\1Xb");
    record(&wire, FCGI_GET_VALUES, 0, "\x0f\0FCGI_MPXS_CONNS", 17);
    begin(&wire, 1, FCGI_AUTHORIZER, FCGI_KEEP_CONN);
    text(&wire, FCGI_PARAMS, 8, "");
    text(&wire, FCGI_STDIN, 8, "eight");
    text(&wire, FCGI_PARAMS, 7, "");
    text(&wire, FCGI_ABORT_REQUEST, 1, "");
    text(&wire, FCGI_STDIN, 7, "seven");
    text(&wire, FCGI_STDIN, 8, "");
    text(&wire, FCGI_STDIN, 7, "");
    return wire;
}

static const char mixed_story[] =
    "7:begin 8:begin 7:pair 7:name=X 7:value=a 7:paired 8:pair 8:name=X 8:value=b 8:paired 1:begin 8:params "
    "8:body=eight 7:params 1:abort 7:body=seven 8:all 7:all";
static const uint8_t mixed_reply[] = "\1\x0a\0\0\0\x12\6\0\x0f\1FCGI_MPXS_CONNS1\0\0\0\0\0";

static void assert_mixed(const struct hearing *hearing)
{
    assert_string_equal(hearing->story, mixed_story);
    assert_int_equal(hearing->replies.length, sizeof mixed_reply);
    assert_memory_equal(hearing->replies.data, mixed_reply, sizeof mixed_reply);
}

static void requests_at_a_time_split_anywhere(void **state)
{
    struct wire wire = mixed();

    (void)state;
    for (size_t first = 0; first <= wire.length; first++) {
        for (size_t second = first; second <= wire.length; second++) {
            static struct hearing hearing;

            listen_with(&hearing, &limits);
            hear(&hearing, wire.data, first);
            hear(&hearing, wire.data + first, second - first);
            hear(&hearing, wire.data + second, wire.length - second);
            assert_mixed(&hearing);
        }
    }
}

static void requests_at_a_time_byte_by_byte(void **state)
{
    struct wire wire = mixed();
    static struct hearing hearing;

    (void)state;
    listen_with(&hearing, &limits);
    for (size_t i = 0; i < wire.length; i++)
        hear(&hearing, wire.data + i, 1);
    assert_mixed(&hearing);
}

/* ---- answers ---- */

static struct fcgi_server_request *request_of(struct hearing *hearing, uint16_t id)
{
    for (int i = 0; i < CAPACITY; i++)
        if (hearing->places[i] && hearing->places[i]->id == id)
            return hearing->places[i];
    fail();
    return NULL;
}

static void the_end_of_an_answer(void **state)
{
    static const struct fcgi_end_request end = {.app_status = 3};
    struct wire wire = {0};
    struct hearing *hearing;
    uint8_t out[FCGI_SERVER_END_MAX];

    (void)state;
    begin(&wire, 5, FCGI_RESPONDER, 0);
    hearing = hear_all(&wire);
    assert_int_equal(fcgi_server_end(&hearing->server, request_of(hearing, 5), &end, false, out), 24);
    assert_memory_equal(out, "\1\6\0\5\0\0\0\0\1\3\0\5\0\x08\0\0\0\0\0\3\0\0\0\0", 24);
    assert_int_equal(hearing->server.active, 0);
    hearing = hear_all(&wire);
    assert_int_equal(fcgi_server_end(&hearing->server, request_of(hearing, 5), &end, true, out), 32);
    assert_memory_equal(out + 8, "\1\7\0\5\0\0\0\0\1\3\0\5", 12);
}

/* It was answered before all of it was there: the rest is skipped, and the id is free for another. */
static void what_comes_after_the_answer_is_skipped(void **state)
{
    static const struct fcgi_end_request end = {0};
    struct wire first = {0}, rest = {0};
    struct hearing *hearing;
    uint8_t out[FCGI_SERVER_END_MAX];

    (void)state;
    begin(&first, 1, FCGI_RESPONDER, FCGI_KEEP_CONN);
    text(&first, FCGI_PARAMS, 1, "");
    text(&first, FCGI_STDIN, 1, "begun");
    hearing = hear_all(&first);
    (void)fcgi_server_end(&hearing->server, request_of(hearing, 1), &end, false, out);
    assert_int_equal(fcgi_server_eof(&hearing->server), WIRE_FAULT_NONE);
    text(&rest, FCGI_STDIN, 1, " and on");
    text(&rest, FCGI_STDIN, 1, "");
    text(&rest, FCGI_PARAMS, 1, "\1\1Xa");
    text(&rest, FCGI_ABORT_REQUEST, 1, "");
    begin(&rest, 1, FCGI_RESPONDER, FCGI_KEEP_CONN);
    text(&rest, FCGI_PARAMS, 1, "\1\1Yb");
    hear(hearing, rest.data, rest.length);
    assert_string_equal(hearing->story,
                        "1:begin 1:params 1:body=begun 1:begin 1:pair 1:name=Y 1:value=b 1:paired");
}

/* In the middle of a record of it. */
static void an_answer_while_a_record_comes(void **state)
{
    static const struct fcgi_end_request end = {0};
    static const uint8_t types[] = {FCGI_PARAMS, FCGI_STDIN};
    uint8_t out[FCGI_SERVER_END_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof types; i++) {
        struct wire wire = {0};
        static struct hearing hearing;

        listen_with(&hearing, &limits);
        begin(&wire, 2, FCGI_RESPONDER, FCGI_KEEP_CONN);
        if (types[i] == FCGI_STDIN)
            text(&wire, FCGI_PARAMS, 2, "");
        record(&wire, types[i], 2, "\1\1Zc\1\1Zd\1\1Ze\1\1Zf", 16);
        begin(&wire, 3, FCGI_RESPONDER, FCGI_KEEP_CONN);
        size_t cut = wire.length - 16 - 8;
        hear(&hearing, wire.data, cut);
        (void)fcgi_server_end(&hearing.server, request_of(&hearing, 2), &end, false, out);
        hearing.story[0] = '\0';
        hear(&hearing, wire.data + cut, wire.length - cut);
        assert_string_equal(hearing.story, "3:begin");
    }
}

/* ---- questions ---- */

static void assert_reply(const struct wire *wire, const void *expected, size_t length)
{
    struct hearing *hearing = hear_all(wire);

    assert_int_equal(hearing->server.fault, WIRE_FAULT_NONE);
    assert_int_equal(hearing->replies.length, length);
    assert_memory_equal(hearing->replies.data, expected, length);
}

static void all_variables_and_unknown_ones(void **state)
{
    static const char asked[] = "\x0d\0FCGI_MAX_REQS"
                                "\x0e\0FCGI_MAX_CONNS"
                                "\x0f\0FCGI_MPXS_CONNS"
                                "\x0f\1FCGI_MPXS_CONNSx" /* again, with a value */
                                "\x0d\0FCGI_MAX_REQZ"
                                "\x10\0FCGI_MPXS_CONNSX"
                                "\x20\0FCGI_MPXS_CONNSFCGI_MPXS_CONNSxx"
                                "\0\0";
    static const char answer[] = "\1\x0a\0\0\0\x3f\1\0"
                                 "\x0e\4FCGI_MAX_CONNS1000"
                                 "\x0d\x0a"
                                 "FCGI_MAX_REQS4294967295"
                                 "\x0f\1FCGI_MPXS_CONNS1";
    struct wire wire = {0};

    (void)state;
    record(&wire, FCGI_GET_VALUES, 0, asked, sizeof asked - 1);
    assert_reply(&wire, answer, sizeof answer);
}

static void no_variable_at_all(void **state)
{
    struct wire wire = {0};

    (void)state;
    text(&wire, FCGI_GET_VALUES, 0, "");
    assert_reply(&wire, "\1\x0a\0\0\0\0\0\0", 8);
}

static void one_at_a_time_is_told_so(void **state)
{
    static struct hearing hearing;
    struct fcgi_server_limits one = limits;
    struct wire wire = {0};

    (void)state;
    one.capacity = 1;
    listen_with(&hearing, &one);
    record(&wire, FCGI_GET_VALUES, 0, "\x0f\0FCGI_MPXS_CONNS", 17);
    begin(&wire, 1, FCGI_RESPONDER, FCGI_KEEP_CONN);
    begin(&wire, 2, FCGI_RESPONDER, FCGI_KEEP_CONN);
    hear(&hearing, wire.data, wire.length);
    assert_int_equal(hearing.replies.data[8 + 2 + 15], '0');
    assert_memory_equal(hearing.replies.data + 32, "\1\3\0\2\0\x08\0\0\0\0\0\0\1\0\0\0",
                        16); /* CANT_MPX_CONN */
    assert_string_equal(hearing.story, "1:begin");
}

static void an_unknown_type_of_management(void **state)
{
    struct wire wire = {0};

    (void)state;
    text(&wire, 77, 0, "whatever");
    assert_reply(&wire, "\1\x0b\0\0\0\x08\0\0\x4d\0\0\0\0\0\0\0", 16);
}

/* ---- what is refused ---- */

static void a_role_that_is_not_known(void **state)
{
    struct wire wire = {0};

    (void)state;
    begin(&wire, 1, FCGI_FILTER, FCGI_KEEP_CONN);
    text(&wire, FCGI_PARAMS, 1, "\1\1Xa");
    text(&wire, FCGI_PARAMS, 1, "");
    text(&wire, FCGI_STDIN, 1, "body");
    assert_reply(&wire, "\1\3\0\1\0\x08\0\0\0\0\0\0\3\0\0\0", 16);
    assert_string_equal(hear_all(&wire)->story, "");
    assert_int_equal(hear_all(&wire)->server.active, 0);
}

static void more_than_there_is_room_for(void **state)
{
    struct wire wire = {0};

    (void)state;
    for (uint16_t id = 1; id <= CAPACITY + 1; id++)
        begin(&wire, id, FCGI_RESPONDER, FCGI_KEEP_CONN);
    assert_reply(&wire, "\1\3\0\4\0\x08\0\0\0\0\0\0\2\0\0\0", 16);
}

static void faults_of_records(void **state)
{
    static const struct {
        uint8_t type;
        uint16_t id;
        const char *content;
        enum wire_fault fault;
    } cases[] = {
        {FCGI_BEGIN_REQUEST, 2, "short", WIRE_FAULT_BODY_LENGTH},
        {FCGI_BEGIN_REQUEST, 0, "12345678", WIRE_FAULT_NULL_REQUEST_ID},
        {FCGI_DATA, 0, "", WIRE_FAULT_NULL_REQUEST_ID},
        {FCGI_GET_VALUES, 1, "", WIRE_FAULT_MANAGEMENT_ID},
        {FCGI_GET_VALUES_RESULT, 1, "", WIRE_FAULT_MANAGEMENT_ID},
        {FCGI_UNKNOWN_TYPE, 1, "", WIRE_FAULT_MANAGEMENT_ID},
        {FCGI_GET_VALUES_RESULT, 0, "", WIRE_FAULT_TYPE},
        {FCGI_UNKNOWN_TYPE, 0, "12345678", WIRE_FAULT_TYPE},
        {FCGI_STDOUT, 1, "", WIRE_FAULT_TYPE},
        {FCGI_DATA, 1, "", WIRE_FAULT_TYPE},
        {99, 1, "", WIRE_FAULT_TYPE},
        {FCGI_STDIN, 1, "too soon", WIRE_FAULT_ORDER},
        {FCGI_STDIN, 1, "", WIRE_FAULT_ORDER},
        {FCGI_GET_VALUES, 0, "\1", WIRE_FAULT_PAIRS_CUT},
        {FCGI_GET_VALUES, 0, "\xff\xff\xff\xff", WIRE_FAULT_NAME_LENGTH},
        {FCGI_PARAMS, 1, "\x41\1", WIRE_FAULT_NAME_LENGTH},
        {FCGI_PARAMS, 1, "\1\x41", WIRE_FAULT_VALUE_LENGTH},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wire wire = {0};

        begin(&wire, 1, FCGI_RESPONDER, FCGI_KEEP_CONN);
        text(&wire, cases[i].type, cases[i].id, cases[i].content);
        assert_fault(&wire, cases[i].fault);
    }
}

static void faults_of_order(void **state)
{
    struct wire again = {0}, params = {0}, cut = {0}, body = {0}, version = {0};

    (void)state;
    begin(&again, 1, FCGI_RESPONDER, 0);
    begin(&again, 1, FCGI_RESPONDER, 0);
    assert_fault(&again, WIRE_FAULT_BEGUN);

    begin(&params, 1, FCGI_RESPONDER, 0);
    text(&params, FCGI_PARAMS, 1, "");
    text(&params, FCGI_PARAMS, 1, "\1\1Xa");
    assert_fault(&params, WIRE_FAULT_STREAM_ENDED);

    begin(&cut, 1, FCGI_RESPONDER, 0);
    text(&cut, FCGI_PARAMS, 1, "\4\4NA");
    text(&cut, FCGI_PARAMS, 1, "");
    assert_fault(&cut, WIRE_FAULT_PAIRS_CUT);

    begin(&body, 1, FCGI_RESPONDER, 0);
    text(&body, FCGI_PARAMS, 1, "");
    text(&body, FCGI_STDIN, 1, "");
    text(&body, FCGI_STDIN, 1, "more");
    assert_fault(&body, WIRE_FAULT_STREAM_ENDED);

    put(&version, "\2\1\0\1\0\0\0\0", 8);
    assert_fault(&version, WIRE_FAULT_VERSION);
}

/* ---- the end of the connection ---- */

static void an_end_within_a_request_or_a_record(void **state)
{
    struct wire wire = {0};
    static struct hearing hearing;

    (void)state;
    listen_with(&hearing, &limits);
    assert_int_equal(fcgi_server_eof(&hearing.server), WIRE_FAULT_NONE);
    hear(&hearing, (const uint8_t *)"\1", 1);
    assert_int_equal(fcgi_server_eof(&hearing.server), WIRE_FAULT_CUT);
    begin(&wire, 1, FCGI_RESPONDER, 0);
    assert_int_equal(fcgi_server_eof(&hear_all(&wire)->server), WIRE_FAULT_CUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_request),
        cmocka_unit_test(the_flag_of_each_request_is_told),
        cmocka_unit_test(who_is_not_taken_is_skipped),
        cmocka_unit_test(lengths_are_told_before_the_bytes),
        cmocka_unit_test(an_end_that_comes_twice_is_told_once),
        cmocka_unit_test(requests_at_a_time_split_anywhere),
        cmocka_unit_test(requests_at_a_time_byte_by_byte),
        cmocka_unit_test(the_end_of_an_answer),
        cmocka_unit_test(what_comes_after_the_answer_is_skipped),
        cmocka_unit_test(an_answer_while_a_record_comes),
        cmocka_unit_test(all_variables_and_unknown_ones),
        cmocka_unit_test(no_variable_at_all),
        cmocka_unit_test(one_at_a_time_is_told_so),
        cmocka_unit_test(an_unknown_type_of_management),
        cmocka_unit_test(a_role_that_is_not_known),
        cmocka_unit_test(more_than_there_is_room_for),
        cmocka_unit_test(faults_of_records),
        cmocka_unit_test(faults_of_order),
        cmocka_unit_test(an_end_within_a_request_or_a_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
