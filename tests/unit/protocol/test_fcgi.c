/* Records: parsed at every split, encoded to the byte, refused with a reason. */
#include "protocol/fcgi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

/* What a parser told, with the pieces of a record's content put together again. */
struct story {
    struct record {
        struct fcgi_header header;
        uint8_t content[64];
        size_t length;
        bool complete;
    } records[8];
    size_t count;
    enum wire_fault fault;
};

/* The bytes are copied to memory of just that size, so that a sanitizer sees every read beyond them. */
static void feed(struct fcgi_parser *parser, struct story *story, const uint8_t *data, size_t length)
{
    uint8_t *copy = test_malloc(length + 1);
    struct bytes input = {.data = copy + 1, .length = length};
    struct bytes content;

    memcpy(copy + 1, data, length);
    for (;;) {
        struct record *record = story->count ? &story->records[story->count - 1] : NULL;

        switch (fcgi_parser_next(parser, &input, &content)) {
        case FCGI_EVENT_HEADER:
            assert_true(!record || record->complete);
            story->records[story->count++].header = parser->header;
            continue;
        case FCGI_EVENT_CONTENT:
            assert_true(content.length > 0);
            memcpy(record->content + record->length, content.data, content.length);
            record->length += content.length;
            continue;
        case FCGI_EVENT_END:
            assert_int_equal(record->length, record->header.content_length);
            record->complete = true;
            continue;
        case FCGI_EVENT_FAULT:
            story->fault = parser->fault;
            break;
        case FCGI_EVENT_MORE:
            assert_int_equal(input.length, 0);
            break;
        }
        break;
    }
    test_free(copy);
}

static const uint8_t three_records[] = {
    1, 6,   0x12, 0x34, 0, 5, 3, 0, 'h', 'e', 'l', 'l', 'o', 9, 9, 9, /* padded */
    1, 7,   0xff, 0xff, 0, 0, 2, 0, 7,   7,                           /* padding alone */
    1, 200, 0,    0,    0, 1, 0, 0, 'x',                              /* of a type that nobody knows */
};

static void assert_three_records(const struct story *story)
{
    assert_int_equal(story->count, 3);
    assert_int_equal(story->fault, WIRE_FAULT_NONE);
    assert_int_equal(story->records[0].header.type, FCGI_STDOUT);
    assert_int_equal(story->records[0].header.request_id, 0x1234);
    assert_int_equal(story->records[0].header.content_length, 5);
    assert_int_equal(story->records[0].header.padding_length, 3);
    assert_memory_equal(story->records[0].content, "hello", 5);
    assert_int_equal(story->records[1].header.type, FCGI_STDERR);
    assert_int_equal(story->records[1].header.request_id, 0xffff);
    assert_int_equal(story->records[1].length, 0);
    assert_int_equal(story->records[2].header.type, 200);
    assert_int_equal(story->records[2].header.request_id, FCGI_NULL_REQUEST_ID);
    assert_memory_equal(story->records[2].content, "x", 1);
    assert_true(story->records[2].complete);
}

static void parses_records_at_any_two_splits(void **state)
{
    (void)state;
    for (size_t first = 0; first <= sizeof three_records; first++) {
        for (size_t second = first; second <= sizeof three_records; second++) {
            struct fcgi_parser parser;
            struct story story = {0};

            fcgi_parser_init(&parser);
            feed(&parser, &story, three_records, first);
            feed(&parser, &story, three_records + first, second - first);
            feed(&parser, &story, three_records + second, sizeof three_records - second);
            assert_three_records(&story);
            assert_true(fcgi_parser_idle(&parser));
        }
    }
}

static void parses_records_byte_by_byte(void **state)
{
    struct fcgi_parser parser;
    struct story story = {0};

    (void)state;
    fcgi_parser_init(&parser);
    for (size_t i = 0; i < sizeof three_records; i++)
        feed(&parser, &story, three_records + i, 1);
    assert_three_records(&story);
}

static void is_idle_between_records_only(void **state)
{
    (void)state;
    for (size_t length = 0; length <= sizeof three_records; length++) {
        struct fcgi_parser parser;
        struct story story = {0};
        bool border = length == 0 || length == 16 || length == 26 || length == sizeof three_records;

        fcgi_parser_init(&parser);
        feed(&parser, &story, three_records, length);
        assert_int_equal(fcgi_parser_idle(&parser), border);
    }
}

static void takes_the_longest_record(void **state)
{
    static const uint8_t header[] = {1, 5, 0, 1, 0xff, 0xff, 0xff, 0};
    static uint8_t zeros[FCGI_CONTENT_MAX + FCGI_PADDING_MAX];
    struct fcgi_parser parser;
    struct bytes input = {.data = header, .length = sizeof header};
    struct bytes content;

    (void)state;
    fcgi_parser_init(&parser);
    assert_int_equal(fcgi_parser_next(&parser, &input, &content), FCGI_EVENT_HEADER);
    input = (struct bytes){.data = zeros, .length = sizeof zeros};
    assert_int_equal(fcgi_parser_next(&parser, &input, &content), FCGI_EVENT_CONTENT);
    assert_int_equal(content.length, FCGI_CONTENT_MAX);
    assert_int_equal(input.length, FCGI_PADDING_MAX);
    assert_int_equal(fcgi_parser_next(&parser, &input, &content), FCGI_EVENT_END);
    assert_int_equal(input.length, 0);
}

static void refuses_another_version_at_its_first_byte(void **state)
{
    static const uint8_t good_then_bad[] = {1, 6, 0, 1, 0, 0, 0, 0, 2};
    struct fcgi_parser parser;
    struct story story = {0};

    (void)state;
    fcgi_parser_init(&parser);
    feed(&parser, &story, good_then_bad, sizeof good_then_bad);
    assert_int_equal(story.count, 1);
    assert_int_equal(story.fault, WIRE_FAULT_VERSION);

    /* and it stays refused */
    story.fault = WIRE_FAULT_NONE;
    feed(&parser, &story, three_records, sizeof three_records);
    assert_int_equal(story.fault, WIRE_FAULT_VERSION);
    assert_int_equal(story.count, 1);
}

static void pads_to_eight_bytes(void **state)
{
    (void)state;
    for (unsigned length = 0; length <= FCGI_CONTENT_MAX; length++) {
        assert_true(fcgi_padding((uint16_t)length) < FCGI_ALIGNMENT);
        assert_int_equal((length + fcgi_padding((uint16_t)length)) % FCGI_ALIGNMENT, 0);
    }
    assert_int_equal(FCGI_CONTENT_ALIGNED_MAX, 65528);
}

/* Section 3.3 and 5.1, 5.4, 5.5, 4.2 written out. */
static void encodes_to_the_byte(void **state)
{
    static const uint8_t begin[] = {1, 1, 0x12, 0x34, 0, 8, 0, 0, 0, 3, 1, 0, 0, 0, 0, 0};
    static const uint8_t end[] = {1, 3, 0, 1, 0, 8, 0, 0, 0xde, 0xad, 0xbe, 0xef, 2, 0, 0, 0};
    static const uint8_t unknown[] = {1, 11, 0, 0, 0, 8, 0, 0, 77, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t abort_request[] = {1, 2, 0xab, 0xcd, 0, 0, 0, 0};
    static const uint8_t header[] = {1, 4, 0x01, 0x02, 0xfe, 0xdc, 255, 0};
    uint8_t buffer[FCGI_HEADER_LENGTH + FCGI_BODY_LENGTH];

    (void)state;
    fcgi_encode_begin_request(
        0x1234, &(struct fcgi_begin_request){.role = FCGI_FILTER, .flags = FCGI_KEEP_CONN}, buffer);
    assert_memory_equal(buffer, begin, sizeof begin);
    fcgi_encode_end_request(
        1, &(struct fcgi_end_request){.app_status = 0xdeadbeef, .protocol_status = FCGI_OVERLOADED}, buffer);
    assert_memory_equal(buffer, end, sizeof end);
    fcgi_encode_unknown_type(77, buffer);
    assert_memory_equal(buffer, unknown, sizeof unknown);
    fcgi_encode_abort_request(0xabcd, buffer);
    assert_memory_equal(buffer, abort_request, sizeof abort_request);
    fcgi_encode_header(
        &(struct fcgi_header){
            .type = FCGI_PARAMS, .request_id = 0x0102, .content_length = 0xfedc, .padding_length = 255},
        buffer);
    assert_memory_equal(buffer, header, sizeof header);
}

static void decodes_bodies(void **state)
{
    static const uint8_t begin[] = {0x01, 0x02, 0x81, 9, 9, 9, 9, 9};
    static const uint8_t end[] = {0xff, 0xfe, 0xfd, 0xfc, 3, 9, 9, 9};
    static const uint8_t unknown[] = {250, 9, 9, 9, 9, 9, 9, 9};

    (void)state;
    assert_int_equal(fcgi_decode_begin_request(begin).role, 0x0102);
    assert_int_equal(fcgi_decode_begin_request(begin).flags, 0x81);
    assert_int_equal(fcgi_decode_end_request(end).app_status, 0xfffefdfc);
    assert_int_equal(fcgi_decode_end_request(end).protocol_status, FCGI_UNKNOWN_ROLE);
    assert_int_equal(fcgi_decode_unknown_type(unknown), 250);
}

static void names_what_it_knows(void **state)
{
    (void)state;
    assert_string_equal(fcgi_type_name(FCGI_BEGIN_REQUEST), "BEGIN_REQUEST");
    assert_string_equal(fcgi_type_name(11), "UNKNOWN_TYPE");
    assert_string_equal(fcgi_type_name(0), "unknown");
    assert_string_equal(fcgi_type_name(255), "unknown");
    assert_string_equal(fcgi_status_name(0), "REQUEST_COMPLETE");
    assert_string_equal(fcgi_status_name(3), "UNKNOWN_ROLE");
    assert_string_equal(fcgi_status_name(4), "unknown");
}

static void every_fault_has_a_text_of_its_own(void **state)
{
    (void)state;
    for (int a = 0; a < WIRE_FAULTS; a++) {
        assert_true(strlen(wire_fault_text((enum wire_fault)a)) > 0);
        for (int b = 0; b < a; b++)
            assert_string_not_equal(wire_fault_text((enum wire_fault)a), wire_fault_text((enum wire_fault)b));
    }
    assert_string_equal(wire_fault_text(WIRE_FAULTS), "an unknown fault");
    assert_string_equal(wire_fault_text((enum wire_fault) - 1), "an unknown fault");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_records_at_any_two_splits),
        cmocka_unit_test(parses_records_byte_by_byte),
        cmocka_unit_test(is_idle_between_records_only),
        cmocka_unit_test(takes_the_longest_record),
        cmocka_unit_test(refuses_another_version_at_its_first_byte),
        cmocka_unit_test(pads_to_eight_bytes),
        cmocka_unit_test(encodes_to_the_byte),
        cmocka_unit_test(decodes_bodies),
        cmocka_unit_test(names_what_it_knows),
        cmocka_unit_test(every_fault_has_a_text_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
