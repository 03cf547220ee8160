/* Header blocks: what is read of them, split anywhere, what is refused, and what is written. */
#include "protocol/scgi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LIMIT = 1000 };

#define SAMPLE "70:CONTENT_LENGTH\00027\0SCGI\0001\0REQUEST_METHOD\0POST\0REQUEST_URI\0/deepthought\0,"

/* ---- decoder ---- */

/* What a block said: "NAME=value;" for each pair. */
struct reading {
    char text[512];
    bool valued; /* the pair at hand has its "=" */
    bool begun;
    uint32_t length;
    bool ended;
    uint64_t content_length;
    enum wire_fault fault;
    enum wire_fault finish;
    size_t used; /* of the input */
};

static void add(struct reading *reading, struct bytes piece)
{
    size_t length = strlen(reading->text);

    assert_true(piece.length > 0 && piece.length < sizeof reading->text - length);
    memcpy(reading->text + length, piece.data, piece.length);
}

static void begin_value(struct reading *reading)
{
    if (!reading->valued)
        add(reading, bytes_of("="));
    reading->valued = true;
}

/* The pieces are copied to a place of just their size, so that a sanitizer sees a read beyond. */
static void feed(struct scgi_decoder *decoder, struct reading *reading, const char *data, size_t length)
{
    uint8_t *copy = test_malloc(length + 1);
    struct bytes input = {.data = copy + 1, .length = length};
    struct bytes piece;
    enum scgi_event event = SCGI_EVENT_PAIR;

    memcpy(copy + 1, data, length);
    while (event != SCGI_EVENT_MORE && event != SCGI_EVENT_END && event != SCGI_EVENT_FAULT) {
        event = scgi_decoder_next(decoder, &input, &piece);
        switch (event) {
        case SCGI_EVENT_MORE:
            assert_int_equal(input.length, 0);
            break;
        case SCGI_EVENT_BEGIN:
            assert_false(reading->begun);
            reading->begun = true;
            reading->length = decoder->length;
            break;
        case SCGI_EVENT_NAME:
            add(reading, piece);
            break;
        case SCGI_EVENT_VALUE:
            begin_value(reading);
            add(reading, piece);
            break;
        case SCGI_EVENT_PAIR:
            begin_value(reading);
            reading->valued = false;
            add(reading, bytes_of(";"));
            break;
        case SCGI_EVENT_END:
            reading->ended = true;
            reading->content_length = decoder->content_length;
            break;
        case SCGI_EVENT_FAULT:
            reading->fault = decoder->fault;
            break;
        }
    }
    reading->used += length - input.length;
    reading->finish = scgi_decoder_finish(decoder);
    test_free(copy);
}

/* The reading must be the same in one piece, at every split in two, and byte by byte. */
static struct reading read_block(const char *data, size_t length)
{
    struct reading whole = {0};
    struct scgi_decoder decoder;

    scgi_decoder_init(&decoder, LIMIT);
    feed(&decoder, &whole, data, length);
    for (size_t split = 0; split <= length + 1; split++) {
        struct reading other = {0};

        scgi_decoder_init(&decoder, LIMIT);
        if (split > length) {
            for (size_t i = 0; i < length; i++)
                feed(&decoder, &other, data + i, 1);
            feed(&decoder, &other, data + length, 0);
        } else {
            feed(&decoder, &other, data, split);
            feed(&decoder, &other, data + split, length - split);
        }
        assert_string_equal(other.text, whole.text);
        assert_int_equal(other.begun, whole.begun);
        assert_int_equal(other.length, whole.length);
        assert_int_equal(other.ended, whole.ended);
        assert_int_equal(other.content_length, whole.content_length);
        assert_int_equal(other.fault, whole.fault);
        assert_int_equal(other.finish, whole.finish);
        assert_int_equal(other.used, whole.used);
    }
    return whole;
}

#define READ(text) read_block(text, sizeof text - 1)

static void reads_the_block_of_the_specification(void **state)
{
    struct reading reading = READ(SAMPLE);

    (void)state;
    assert_string_equal(reading.text,
                        "CONTENT_LENGTH=27;SCGI=1;REQUEST_METHOD=POST;REQUEST_URI=/deepthought;");
    assert_int_equal(reading.length, 70);
    assert_true(reading.ended);
    assert_int_equal(reading.content_length, 27);
    assert_int_equal(reading.finish, WIRE_FAULT_NONE);
}

static void leaves_the_body_where_it_is(void **state)
{
    static const char text[] = SAMPLE "What is the answer to life?";
    struct reading reading = READ(SAMPLE "What is the answer to life?");

    (void)state;
    assert_true(reading.ended);
    assert_int_equal(reading.used, sizeof SAMPLE - 1);
    assert_memory_equal(text + reading.used, "What", 4);
}

static void values_may_be_empty_and_hold_anything(void **state)
{
    struct reading reading = READ("48:CONTENT_LENGTH\0000\0QUERY_STRING\0\0X\0a=b;,:\xff\0SCGI\0001\0,");

    (void)state;
    assert_string_equal(reading.text, "CONTENT_LENGTH=0;QUERY_STRING=;X=a=b;,:\xff;SCGI=1;");
    assert_int_equal(reading.content_length, 0);
    assert_int_equal(reading.finish, WIRE_FAULT_NONE);
}

/* As nginx before 1.23 sends them. */
static void other_names_may_come_again(void **state)
{
    struct reading reading = READ("37:CONTENT_LENGTH\0000\0SCGI\0001\0A\0001\0A\0002\0BC\0D\0,");

    (void)state;
    assert_string_equal(reading.text, "CONTENT_LENGTH=0;SCGI=1;A=1;A=2;BC=D;");
    assert_int_equal(reading.finish, WIRE_FAULT_NONE);
}

static void names_like_ours_are_others(void **state)
{
    struct reading reading = READ(
        "72:CONTENT_LENGTH\0007\0SCGI\0001\0SCG\0002\0SCGI_\0003\0CONTENT_LENGT\000x\0CONTENT_LENGTHS\0x\0,");

    (void)state;
    assert_int_equal(reading.fault, WIRE_FAULT_NONE);
    assert_int_equal(reading.content_length, 7);
}

static void an_end_before_the_end_is_a_cut(void **state)
{
    static const char text[] = SAMPLE;

    (void)state;
    for (size_t length = 0; length < sizeof text - 1; length++) {
        struct reading reading = read_block(text, length);

        assert_int_equal(reading.fault, WIRE_FAULT_NONE);
        assert_int_equal(reading.finish, WIRE_FAULT_CUT);
        assert_false(reading.ended);
    }
}

static void each_fault_is_found(void **state)
{
    static const struct {
        const char *text;
        size_t length;
        enum wire_fault fault;
    } rows[] = {
#define ROW(text, fault) {text, sizeof text - 1, WIRE_FAULT_SCGI_##fault}
        ROW(":", NETSTRING),
        ROW("x", NETSTRING),
        ROW("GET / HTTP/1.1", NETSTRING),
        ROW("\1\1\0\1\0\x8\0\0", NETSTRING), /* FastCGI */
        ROW("-1:", NETSTRING),
        ROW("+1:", NETSTRING),
        ROW(" 1:", NETSTRING),
        ROW("1 :", NETSTRING),
        ROW("1;", NETSTRING),
        ROW("00:", NETSTRING),
        ROW("024:", NETSTRING),
        ROW("24:CONTENT_LENGTH\0000\0SCGI\0001\0;", NETSTRING),
        ROW("24:CONTENT_LENGTH\0000\0SCGI\0001\0A\0B\0", NETSTRING),
        ROW("1001:", LENGTH),
        ROW("4294967320:", LENGTH), /* 24 in 32 bits */
        ROW("18446744073709551640:", LENGTH),
        ROW("0:,", FIRST),
        ROW("7:SCGI\0001\0,", FIRST),
        ROW("24:SCGI\0001\0CONTENT_LENGTH\0000\0,", FIRST),
        ROW("24:content_length\0000\0SCGI\0001\0,", FIRST),
        ROW("23:CONTENT_LENGTH\0\0SCGI\0001\0,", CONTENT_LENGTH),
        ROW("25:CONTENT_LENGTH\000-1\0SCGI\0001\0,", CONTENT_LENGTH),
        ROW("25:CONTENT_LENGTH\0001 \0SCGI\0001\0,", CONTENT_LENGTH),
        ROW("26:CONTENT_LENGTH\0000x1\0SCGI\0001\0,", CONTENT_LENGTH),
        ROW("42:CONTENT_LENGTH\0009223372036854775808\0SCGI\0001\0,", CONTENT_LENGTH),
        ROW("43:CONTENT_LENGTH\00018446744073709551616\0SCGI\0001\0,", CONTENT_LENGTH),
        ROW("17:CONTENT_LENGTH\0000\0,", VERSION),
        ROW("23:CONTENT_LENGTH\0000\0SCGI\0\0,", VERSION),
        ROW("24:CONTENT_LENGTH\0000\0SCGI\0002\0,", VERSION),
        ROW("25:CONTENT_LENGTH\0000\0SCGI\00001\0,", VERSION),
        ROW("25:CONTENT_LENGTH\0000\0SCGI\00011\0,", VERSION),
        ROW("24:CONTENT_LENGTH\0000\0scgi\0001\0,", VERSION),
        ROW("41:CONTENT_LENGTH\0000\0CONTENT_LENGTH\0000\0SCGI\0001\0,", REPEATED),
        ROW("31:CONTENT_LENGTH\0000\0SCGI\0001\0SCGI\0001\0,", REPEATED),
        ROW("18:CONTENT_LENGTH\0000\0\0,", NAME),
        ROW("20:CONTENT_LENGTH\0000\0\0x\0,", NAME),
        ROW("14:CONTENT_LENGTH,", ODD),
        ROW("15:CONTENT_LENGTH\0,", ODD),
        ROW("16:CONTENT_LENGTH\0000,", ODD),
        ROW("27:CONTENT_LENGTH\0000\0SCGI\0001\0ABC,", ODD),
        ROW("28:CONTENT_LENGTH\0000\0SCGI\0001\0ABC\0,", ODD),
        ROW("29:CONTENT_LENGTH\0000\0SCGI\0001\0ABC\0D,", ODD),
#undef ROW
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct reading reading = read_block(rows[i].text, rows[i].length);

        if (reading.fault != rows[i].fault)
            print_error("row %zu (%s): %s\n", i, rows[i].text, wire_fault_text(reading.fault));
        assert_int_equal(reading.fault, rows[i].fault);
        assert_int_equal(reading.finish, rows[i].fault);
        assert_false(reading.ended);
    }
}

static void numbers_go_up_to_their_limits(void **state)
{
    struct reading reading = READ("42:CONTENT_LENGTH\0009223372036854775807\0SCGI\0001\0,");

    (void)state;
    assert_int_equal(reading.content_length, INT64_MAX);
    assert_int_equal(READ("1000:").length, 1000);
    assert_int_equal(READ("1000:").finish, WIRE_FAULT_CUT);
}

static void a_refused_block_stays_refused(void **state)
{
    struct scgi_decoder decoder;
    struct reading reading = {0};

    (void)state;
    scgi_decoder_init(&decoder, LIMIT);
    feed(&decoder, &reading, "x", 1);
    feed(&decoder, &reading, SAMPLE, sizeof SAMPLE - 1);
    assert_int_equal(reading.fault, WIRE_FAULT_SCGI_NETSTRING);
    assert_string_equal(reading.text, "");
}

static void the_end_stays_the_end(void **state)
{
    struct scgi_decoder decoder;
    struct reading reading = {0};
    struct bytes body = bytes_of("body");
    struct bytes piece;

    (void)state;
    scgi_decoder_init(&decoder, LIMIT);
    feed(&decoder, &reading, SAMPLE, sizeof SAMPLE - 1);
    assert_int_equal(scgi_decoder_next(&decoder, &body, &piece), SCGI_EVENT_END);
    assert_int_equal(body.length, 4);
}

/* ---- encoder ---- */

#define PAIR(name, value)                                                                                    \
    {                                                                                                        \
        {(const uint8_t *)(name), sizeof(name) - 1},                                                         \
        {                                                                                                    \
            (const uint8_t *)(value), sizeof(value) - 1                                                      \
        }                                                                                                    \
    }

static const struct pair sample[] = {
    PAIR("CONTENT_LENGTH", "27"),
    PAIR("SCGI", "1"),
    PAIR("REQUEST_METHOD", "POST"),
    PAIR("REQUEST_URI", "/deepthought"),
};

static void writes_the_same_into_buffers_of_any_size(void **state)
{
    (void)state;
    for (size_t size = 1; size <= sizeof SAMPLE; size++) {
        struct scgi_encoder encoder;
        uint8_t out[sizeof SAMPLE + 1];
        size_t done = 0;

        assert_int_equal(scgi_encoder_init(&encoder, sample, 4), WIRE_FAULT_NONE);
        assert_int_equal(encoder.left, sizeof SAMPLE - 1);
        assert_int_equal(encoder.content_length, 27);
        while (encoder.left > 0) {
            size_t room = sizeof out - done < size ? sizeof out - done : size;
            size_t wrote = scgi_encoder_next(&encoder, out + done, room);

            assert_true(wrote == room || encoder.left == 0);
            done += wrote;
            assert_int_equal(done + encoder.left, sizeof SAMPLE - 1);
        }
        assert_int_equal(done, sizeof SAMPLE - 1);
        assert_memory_equal(out, SAMPLE, sizeof SAMPLE - 1);
        assert_int_equal(scgi_encoder_next(&encoder, out, sizeof out), 0);
    }
}

static void writes_empty_values(void **state)
{
    static const char expected[] = "38:CONTENT_LENGTH\0000\0QUERY_STRING\0\0SCGI\0001\0,";
    const struct pair pairs[] = {
        PAIR("CONTENT_LENGTH", "0"), {bytes_of("QUERY_STRING"), {NULL, 0}}, PAIR("SCGI", "1")};
    struct scgi_encoder encoder;
    uint8_t out[64];

    (void)state;
    assert_int_equal(scgi_encoder_init(&encoder, pairs, 3), WIRE_FAULT_NONE);
    assert_int_equal(scgi_encoder_next(&encoder, out, sizeof out), sizeof expected - 1);
    assert_memory_equal(out, expected, sizeof expected - 1);
}

static void refuses_what_a_decoder_would_refuse(void **state)
{
    static const struct {
        struct pair pairs[3];
        size_t count;
        enum wire_fault fault;
    } rows[] = {
#define ROW(fault, count, ...) {{__VA_ARGS__}, count, WIRE_FAULT_SCGI_##fault}
#define LENGTH                 PAIR("CONTENT_LENGTH", "0")
#define VERSION                PAIR("SCGI", "1")
        ROW(FIRST, 0, LENGTH),
        ROW(FIRST, 2, VERSION, LENGTH),
        ROW(VERSION, 1, LENGTH),
        ROW(VERSION, 2, LENGTH, PAIR("SCGI", "2")),
        ROW(CONTENT_LENGTH, 2, PAIR("CONTENT_LENGTH", ""), VERSION),
        ROW(CONTENT_LENGTH, 2, PAIR("CONTENT_LENGTH", "many"), VERSION),
        ROW(NAME, 3, LENGTH, VERSION, PAIR("", "x")),
        ROW(REPEATED, 3, LENGTH, VERSION, LENGTH),
        ROW(REPEATED, 3, LENGTH, VERSION, VERSION),
        ROW(NULL_BYTE, 3, LENGTH, VERSION, PAIR("A\0B", "x")),
        ROW(NULL_BYTE, 3, LENGTH, VERSION, PAIR("A", "x\0SCGI")),
#undef ROW
#undef LENGTH
#undef VERSION
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scgi_encoder encoder = {.left = 17};

        assert_int_equal(scgi_encoder_init(&encoder, rows[i].pairs, rows[i].count), rows[i].fault);
        assert_int_equal(encoder.left, 17); /* untouched */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_block_of_the_specification),
        cmocka_unit_test(leaves_the_body_where_it_is),
        cmocka_unit_test(values_may_be_empty_and_hold_anything),
        cmocka_unit_test(other_names_may_come_again),
        cmocka_unit_test(names_like_ours_are_others),
        cmocka_unit_test(an_end_before_the_end_is_a_cut),
        cmocka_unit_test(each_fault_is_found),
        cmocka_unit_test(numbers_go_up_to_their_limits),
        cmocka_unit_test(a_refused_block_stays_refused),
        cmocka_unit_test(the_end_stays_the_end),
        cmocka_unit_test(writes_the_same_into_buffers_of_any_size),
        cmocka_unit_test(writes_empty_values),
        cmocka_unit_test(refuses_what_a_decoder_would_refuse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
