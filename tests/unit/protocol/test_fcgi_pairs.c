/* Name-value pairs: both length forms, any split, limits, and streams that end too early. */
#include "protocol/fcgi.h"
#include "protocol/fcgi_pairs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct fcgi_pairs_limits generous = {.name = 1000, .value = 100000, .total = 1000000};

/* Decoded pairs as "name=value\n"; long ones are counted too. */
struct story {
    char text[512];
    size_t length;
    size_t pairs;
    size_t bytes;
    uint32_t name_length;
    uint32_t value_length;
    enum wire_fault fault;
};

static void tell(struct story *story, struct bytes piece)
{
    story->bytes += piece.length;
    if (story->length + piece.length < sizeof story->text) {
        memcpy(story->text + story->length, piece.data, piece.length);
        story->length += piece.length;
    }
}

static void feed(struct fcgi_pairs_decoder *decoder, struct story *story, const uint8_t *data, size_t length)
{
    uint8_t *copy = test_malloc(length + 1);
    struct bytes input = {.data = copy + 1, .length = length};
    struct bytes piece;
    bool in_value = false;

    memcpy(copy + 1, data, length);
    in_value = decoder->part == FCGI_PAIRS_PART_VALUE;
    for (;;) {
        switch (fcgi_pairs_decoder_next(decoder, &input, &piece)) {
        case FCGI_PAIRS_BEGIN:
            story->name_length = decoder->name_length;
            story->value_length = decoder->value_length;
            in_value = false;
            continue;
        case FCGI_PAIRS_NAME:
            assert_false(in_value);
            assert_true(piece.length > 0);
            tell(story, piece);
            continue;
        case FCGI_PAIRS_VALUE:
            assert_true(piece.length > 0);
            in_value = true;
            tell(story, piece);
            continue;
        case FCGI_PAIRS_END:
            tell(story, bytes_of("\n"));
            story->bytes--;
            story->pairs++;
            continue;
        case FCGI_PAIRS_FAULT:
            story->fault = decoder->fault;
            break;
        case FCGI_PAIRS_MORE:
            assert_int_equal(input.length, 0);
            break;
        }
        break;
    }
    test_free(copy);
}

static enum wire_fault decode(const struct fcgi_pairs_limits *limits, const void *data, size_t length,
                              struct story *ret_story)
{
    struct fcgi_pairs_decoder decoder;

    *ret_story = (struct story){0};
    fcgi_pairs_decoder_init(&decoder, limits);
    feed(&decoder, ret_story, data, length);
    return fcgi_pairs_decoder_finish(&decoder);
}

/* Short and long form in each of the four combinations, empty value, empty name, both empty. */
static const char stream[] = "\x04\x05NAMEvalue"
                             "\x05\x00"
                             "EMPTY"
                             "\x80\x00\x00\x04\x01LONGv"
                             "\x02\x80\x00\x00\x03Lnval"
                             "\x80\x00\x00\x01\x80\x00\x00\x02Nvv"
                             "\x00\x03non"
                             "\x00\x00";
static const char stream_text[] = "NAMEvalue\nEMPTY\nLONGv\nLnval\nNvv\nnon\n\n";
enum { STREAM_LENGTH = sizeof stream - 1 };

static void decodes_at_any_two_splits(void **state)
{
    const uint8_t *data = (const uint8_t *)stream;

    (void)state;
    for (size_t first = 0; first <= STREAM_LENGTH; first++) {
        for (size_t second = first; second <= STREAM_LENGTH; second++) {
            struct fcgi_pairs_decoder decoder;
            struct story story = {0};

            fcgi_pairs_decoder_init(&decoder, &generous);
            feed(&decoder, &story, data, first);
            feed(&decoder, &story, data + first, second - first);
            feed(&decoder, &story, data + second, STREAM_LENGTH - second);
            assert_int_equal(fcgi_pairs_decoder_finish(&decoder), WIRE_FAULT_NONE);
            assert_int_equal(story.pairs, 7);
            assert_string_equal(story.text, stream_text);
        }
    }
}

static void decodes_byte_by_byte(void **state)
{
    struct fcgi_pairs_decoder decoder;
    struct story story = {0};

    (void)state;
    fcgi_pairs_decoder_init(&decoder, &generous);
    for (size_t i = 0; i < STREAM_LENGTH; i++)
        feed(&decoder, &story, (const uint8_t *)stream + i, 1);
    assert_string_equal(story.text, stream_text);
}

static void an_empty_stream_is_complete(void **state)
{
    struct story story;

    (void)state;
    assert_int_equal(decode(&generous, "", 0, &story), WIRE_FAULT_NONE);
    assert_int_equal(story.pairs, 0);
}

static void a_stream_cut_inside_a_pair_is_a_fault(void **state)
{
    static const size_t borders[] = {0, 11, 18, 28, 38, 49, 54, 56};
    size_t next = 0;

    (void)state;
    assert_int_equal(borders[7], STREAM_LENGTH);
    for (size_t length = 0; length <= STREAM_LENGTH; length++) {
        struct story story;
        enum wire_fault fault = decode(&generous, stream, length, &story);

        if (length == borders[next]) {
            assert_int_equal(fault, WIRE_FAULT_NONE);
            next++;
        } else {
            assert_int_equal(fault, WIRE_FAULT_PAIRS_CUT);
        }
    }
    assert_int_equal(next, 8);
}

/* A length is refused as soon as it is known: nobody makes room for it. */
static void each_limit_is_kept(void **state)
{
    const struct fcgi_pairs_limits tight = {.name = 4, .value = 5, .total = 20};
    struct story story;

    (void)state;
    assert_int_equal(decode(&tight, "\x04\x05NAMEvalue", 11, &story), WIRE_FAULT_NONE);
    assert_int_equal(decode(&tight, "\x05", 1, &story), WIRE_FAULT_NAME_LENGTH);
    assert_int_equal(story.fault, WIRE_FAULT_NAME_LENGTH);
    assert_int_equal(decode(&tight, "\xff\xff\xff\xff", 4, &story), WIRE_FAULT_NAME_LENGTH);
    assert_int_equal(decode(&tight, "\x01\x06", 2, &story), WIRE_FAULT_VALUE_LENGTH);
    assert_int_equal(decode(&tight, "\x01\xff\xff\xff\xff", 5, &story), WIRE_FAULT_VALUE_LENGTH);
    /* 11 + 9 bytes are the total; one more is too many */
    assert_int_equal(decode(&tight, "\x04\x05NAMEvalue\x03\x04NAMvalu", 20, &story), WIRE_FAULT_NONE);
    assert_int_equal(story.pairs, 2);
    assert_int_equal(decode(&tight, "\x04\x05NAMEvalue\x03\x05", 13, &story), WIRE_FAULT_PAIRS_LENGTH);
    assert_int_equal(story.pairs, 1);
    /* empty pairs count by their lengths */
    assert_int_equal(decode(&tight, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20, &story), WIRE_FAULT_NONE);
    assert_int_equal(decode(&tight, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 22, &story),
                     WIRE_FAULT_PAIRS_LENGTH);
    assert_int_equal(story.pairs, 10);
}

static void a_refused_stream_stays_refused(void **state)
{
    const struct fcgi_pairs_limits tight = {.name = 1, .value = 1, .total = 100};
    struct fcgi_pairs_decoder decoder;
    struct story story = {0};

    (void)state;
    fcgi_pairs_decoder_init(&decoder, &tight);
    feed(&decoder, &story, (const uint8_t *)"\x02", 1);
    story.fault = WIRE_FAULT_NONE;
    feed(&decoder, &story, (const uint8_t *)"\x01\x01nv", 4);
    assert_int_equal(story.fault, WIRE_FAULT_NAME_LENGTH);
    assert_int_equal(story.pairs, 0);
}

static void the_longest_lengths_can_be_told(void **state)
{
    const struct fcgi_pairs_limits none = {.name = UINT32_MAX, .value = UINT32_MAX, .total = UINT64_MAX};
    struct story story;

    (void)state;
    assert_int_equal(decode(&none, "\xff\xff\xff\xff\xff\xff\xff\xfe", 8, &story), WIRE_FAULT_PAIRS_CUT);
    assert_int_equal(story.name_length, 0x7fffffff);
    assert_int_equal(story.value_length, 0x7ffffffe);
}

/* ---- encoder ---- */

static void encodes_to_the_byte_in_buffers_of_any_size(void **state)
{
    static const char expected[] = "\x04\x05NAMEvalue\x05\x00"
                                   "EMPTY\x00\x01v\x00\x00";
    const struct pair pairs[] = {
        {bytes_of("NAME"), bytes_of("value")},
        {bytes_of("EMPTY"), {NULL, 0}},
        {{NULL, 0}, bytes_of("v")},
        {bytes_of(""), bytes_of("")},
    };

    (void)state;
    for (size_t size = 1; size <= sizeof expected; size++) {
        struct fcgi_pairs_encoder encoder;
        uint8_t out[64];
        size_t done = 0;
        size_t step;

        assert_int_equal(fcgi_pairs_encoder_init(&encoder, pairs, 4), WIRE_FAULT_NONE);
        assert_int_equal(encoder.left, sizeof expected - 1);
        do {
            step = fcgi_pairs_encoder_next(&encoder, out + done, size);
            done += step;
            assert_int_equal(encoder.left, sizeof expected - 1 - done);
        } while (step == size);
        assert_int_equal(done, sizeof expected - 1);
        assert_memory_equal(out, expected, done);
        assert_int_equal(fcgi_pairs_encoder_next(&encoder, out, size), 0);
    }
}

/* 127 is the last length in one byte (3.4). */
static void long_lengths_take_four_bytes_and_come_back(void **state)
{
    static uint8_t text[70000];
    static uint8_t out[sizeof text * 2 + 16];
    static const size_t lengths[] = {0, 1, 126, 127, 128, 255, 256, 65535, 65536, 70000};
    const struct fcgi_pairs_limits limits = {.name = 70000, .value = 70000, .total = 150000};

    (void)state;
    memset(text, 'x', sizeof text);
    for (size_t n = 0; n < sizeof lengths / sizeof lengths[0]; n++) {
        for (size_t v = 0; v < sizeof lengths / sizeof lengths[0]; v++) {
            const struct pair pair = {{text, lengths[n]}, {text, lengths[v]}};
            size_t prefix = (lengths[n] > 127 ? 4u : 1u) + (lengths[v] > 127 ? 4u : 1u);
            struct fcgi_pairs_encoder encoder;
            struct story story;
            size_t done;

            assert_int_equal(fcgi_pairs_encoder_init(&encoder, &pair, 1), WIRE_FAULT_NONE);
            done = fcgi_pairs_encoder_next(&encoder, out, sizeof out);
            assert_int_equal(done, prefix + lengths[n] + lengths[v]);
            assert_int_equal(decode(&limits, out, done, &story), WIRE_FAULT_NONE);
            assert_int_equal(story.pairs, 1);
            assert_int_equal(story.name_length, lengths[n]);
            assert_int_equal(story.value_length, lengths[v]);
            assert_int_equal(story.bytes, lengths[n] + lengths[v]);
        }
    }
}

static void what_cannot_be_encoded_is_refused(void **state)
{
    const struct pair long_name = {{NULL, (size_t)FCGI_LENGTH_MAX + 1}, {NULL, 0}};
    const struct pair long_value = {{NULL, FCGI_LENGTH_MAX}, {NULL, (size_t)FCGI_LENGTH_MAX + 1}};
    const struct pair longest = {{NULL, FCGI_LENGTH_MAX}, {NULL, FCGI_LENGTH_MAX}};
    struct fcgi_pairs_encoder encoder;
    uint8_t lengths[8];

    (void)state;
    assert_int_equal(fcgi_pairs_encoder_init(&encoder, &long_name, 1), WIRE_FAULT_NAME_LENGTH);
    assert_int_equal(fcgi_pairs_encoder_init(&encoder, &long_value, 1), WIRE_FAULT_VALUE_LENGTH);
    assert_int_equal(fcgi_pairs_encoder_init(&encoder, &longest, 1), WIRE_FAULT_NONE);
    assert_int_equal(fcgi_pairs_encoder_next(&encoder, lengths, sizeof lengths), 8);
    assert_memory_equal(lengths, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
}

static void no_pairs_are_no_bytes(void **state)
{
    struct fcgi_pairs_encoder encoder;
    uint8_t out[4];

    (void)state;
    assert_int_equal(fcgi_pairs_encoder_init(&encoder, NULL, 0), WIRE_FAULT_NONE);
    assert_int_equal(encoder.left, 0);
    assert_int_equal(fcgi_pairs_encoder_next(&encoder, out, sizeof out), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_at_any_two_splits),
        cmocka_unit_test(decodes_byte_by_byte),
        cmocka_unit_test(an_empty_stream_is_complete),
        cmocka_unit_test(a_stream_cut_inside_a_pair_is_a_fault),
        cmocka_unit_test(each_limit_is_kept),
        cmocka_unit_test(a_refused_stream_stays_refused),
        cmocka_unit_test(the_longest_lengths_can_be_told),
        cmocka_unit_test(encodes_to_the_byte_in_buffers_of_any_size),
        cmocka_unit_test(long_lengths_take_four_bytes_and_come_back),
        cmocka_unit_test(what_cannot_be_encoded_is_refused),
        cmocka_unit_test(no_pairs_are_no_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
