/* Requests recognized in what passes by: the same in one piece, at every split, and byte by byte. */
#include "pool/worker/sight.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BEGIN = 1, ABORT = 2, END = 3, PARAMS = 4, STDIN = 5, STDOUT = 6, GET_VALUES = 9 };
enum { KEEP = 1, PIECES_MAX = 40 };

struct stream {
    uint8_t bytes[8192];
    size_t length;
};

/* ---- streams ---- */

static void add(struct stream *stream, const void *bytes, size_t length)
{
    assert_true(length <= sizeof stream->bytes - stream->length);
    memcpy(stream->bytes + stream->length, bytes, length);
    stream->length += length;
}

static void add_record(struct stream *stream, int type, int id, const void *content, size_t length,
                       uint8_t padding)
{
    uint8_t header[] = {
        1, (uint8_t)type, (uint8_t)(id >> 8), (uint8_t)id, (uint8_t)(length >> 8), (uint8_t)length, padding,
        0};

    add(stream, header, sizeof header);
    add(stream, content, length);
    add(stream, "\1\3\0\1\0\0\0\0\1\3\0\1\0\0\0\0", padding); /* padding may look like anything */
}

static void add_begin(struct stream *stream, int id, uint8_t flags)
{
    uint8_t body[8] = {0, 1, flags};

    add_record(stream, BEGIN, id, body, sizeof body, 0);
}

static void add_length(struct stream *stream, size_t length, bool is_long)
{
    uint8_t bytes[] = {(uint8_t)(length >> 24 | 0x80), (uint8_t)(length >> 16), (uint8_t)(length >> 8),
                       (uint8_t)length};

    if (is_long || length > 127)
        add(stream, bytes, 4);
    else
        add(stream, bytes + 3, 1);
}

static void add_pair(struct stream *pairs, const char *name, const char *value)
{
    add_length(pairs, strlen(name), false);
    add_length(pairs, strlen(value), false);
    add(pairs, name, strlen(name));
    add(pairs, value, strlen(value));
}

/* The records of a whole request with these pairs, cut into records of `step` bytes. */
static void add_request(struct stream *stream, int id, uint8_t flags, const struct stream *pairs, size_t step)
{
    add_begin(stream, id, flags);
    for (size_t at = 0; at < pairs->length; at += step) {
        size_t length = pairs->length - at < step ? pairs->length - at : step;

        add_record(stream, PARAMS, id, pairs->bytes + at, length, (uint8_t)(-length & 7));
    }
    add_record(stream, PARAMS, id, "", 0, 0);
    add_record(stream, STDIN, id, "", 0, 0);
}

static struct stream nginx_pairs(void)
{
    struct stream pairs = {.length = 0};

    add_pair(&pairs, "QUERY_STRING", "a=b");
    add_pair(&pairs, "REQUEST_METHOD", "POST");
    add_pair(&pairs, "CONTENT_TYPE", "");
    add_pair(&pairs, "CONTENT_LENGTH", "");
    add_pair(&pairs, "SCRIPT_NAME", "/index.php");
    add_pair(&pairs, "REQUEST_URI", "/shop?a=b");
    add_pair(&pairs, "DOCUMENT_URI", "/index.php");
    add_pair(&pairs, "HTTP_USER_AGENT",
             "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 "
             "Safari/537.36 and more, so that its length takes four bytes");
    add_pair(&pairs, "HTTP_HOST", "example.org");
    return pairs;
}

static struct stream nginx_request(uint8_t flags)
{
    struct stream stream = {.length = 0}, pairs = nginx_pairs();

    add_request(&stream, 1, flags, &pairs, SIZE_MAX / 2);
    return stream;
}

/* ---- watching them ---- */

typedef unsigned watch(struct sight *sight, const void *bytes, size_t size);

/* The piece is copied to a place of just its size, so that a sanitizer sees a read beyond. */
static unsigned watch_piece(watch *function, struct sight *sight, const uint8_t *bytes, size_t length)
{
    uint8_t *copy = test_malloc(length + 1);
    unsigned events;

    memcpy(copy + 1, bytes, length);
    events = function(sight, copy + 1, length);
    test_free(copy);
    return events;
}

static void assert_same(const struct sight *a, const struct sight *b)
{
    assert_string_equal(a->method, b->method);
    assert_memory_equal(a->uri, b->uri, strnlen(a->uri, sizeof a->uri));
    assert_int_equal(sight_keeps(a), sight_keeps(b));
}

/* Watches `stream` from the state `sight` on, in every way to cut it into two, and in pieces of one size, for
 * every size. Each piece must tell what its bytes tell one by one. Returns the events of all. */
static unsigned watch_all(watch *function, struct sight *sight, const struct stream *stream)
{
    static uint8_t told[sizeof stream->bytes];
    struct sight bytewise = *sight, whole = *sight;
    unsigned events = 0;

    for (size_t i = 0; i < stream->length; i++) {
        told[i] = (uint8_t)watch_piece(function, &bytewise, stream->bytes + i, 1);
        events |= told[i];
    }
    assert_int_equal(watch_piece(function, &whole, stream->bytes, stream->length), events);
    assert_same(&whole, &bytewise);
    for (size_t way = 0; way < stream->length + PIECES_MAX; way++) {
        struct sight other = *sight;
        size_t step = way < stream->length ? way : way - stream->length + 1, at = 0;

        while (at < stream->length) {
            size_t left = stream->length - at, expected = 0;
            size_t length = way < stream->length && at > 0 ? left : step < left ? step : left;

            for (size_t i = 0; i < length; i++)
                expected |= told[at + i];
            assert_int_equal(watch_piece(function, &other, stream->bytes + at, length), expected);
            at += length;
            if (length == 0)
                step = left;
        }
        assert_same(&other, &bytewise);
    }
    *sight = whole;
    return events;
}

static unsigned reads(struct sight *sight, const struct stream *stream)
{
    return watch_all(sight_read, sight, stream);
}

static unsigned writes(struct sight *sight, const struct stream *stream)
{
    return watch_all(sight_wrote, sight, stream);
}

/* A connection that begins with this. */
static struct sight seen(const struct stream *stream, unsigned events)
{
    struct sight sight;

    sight_init(&sight);
    assert_int_equal(reads(&sight, stream), events);
    return sight;
}

static struct sight seen_text(const char *text, size_t length, unsigned events)
{
    struct stream stream = {.length = 0};

    add(&stream, text, length);
    return seen(&stream, events);
}

#define SEEN(text, events) seen_text(text, sizeof text - 1, events)

static struct sight seen_pairs(const struct stream *pairs)
{
    struct stream stream = {.length = 0};

    add_request(&stream, 1, 0, pairs, 1000);
    return seen(&stream, SIGHT_BEGUN);
}

static struct stream response(int id)
{
    static const char body[] = "Status: 200\r\n\r\n\1\3\0\1\0\0\0\0hello"; /* holds what looks like an end */
    struct stream stream = {.length = 0};

    add_record(&stream, STDOUT, id, body, sizeof body, 3);
    add_record(&stream, STDOUT, id, "", 0, 0);
    add_record(&stream, END, id, "\0\0\0\0\0\0\0\0", 8, 0);
    return stream;
}

/* ---- FastCGI ---- */

static void sees_a_request_of_nginx(void **state)
{
    struct stream stream = nginx_request(0);
    struct sight sight = seen(&stream, SIGHT_BEGUN);

    (void)state;
    assert_string_equal(sight.method, "POST");
    assert_string_equal(sight.uri, "/shop?a=b");
    assert_false(sight_keeps(&sight));
}

static void begins_with_the_last_byte_of_the_empty_record(void **state)
{
    struct stream stream = nginx_request(0);
    struct sight sight;

    (void)state;
    sight_init(&sight);
    stream.length -= 8 + 1; /* the empty STDIN, and a byte of the empty PARAMS */
    assert_int_equal(reads(&sight, &stream), 0);
    assert_int_equal(sight_read(&sight, stream.bytes + stream.length, 1), SIGHT_BEGUN);
    assert_int_equal(sight_read(&sight, stream.bytes + stream.length + 1, 8), 0);
}

static void pairs_may_be_split_over_records(void **state)
{
    struct stream pairs = nginx_pairs();

    (void)state;
    for (size_t step = 1; step < 20; step++) {
        struct stream stream = {.length = 0};
        struct sight sight;

        add_request(&stream, 7, 0, &pairs, step);
        sight_init(&sight);
        assert_int_equal(sight_read(&sight, stream.bytes, stream.length), SIGHT_BEGUN);
        assert_string_equal(sight.method, "POST");
        assert_string_equal(sight.uri, "/shop?a=b");
    }
}

static void without_request_uri_the_next_best_name_counts(void **state)
{
    struct stream pairs = {.length = 0};

    (void)state;
    add_pair(&pairs, "DOCUMENT_URI", "/document");
    add_pair(&pairs, "REQUEST_URI", "");
    assert_string_equal(seen_pairs(&pairs).uri, "/document");
    assert_string_equal(seen_pairs(&pairs).method, "");
    add_pair(&pairs, "SCRIPT_NAME", "/script");
    add_pair(&pairs, "DOCUMENT_URI", "/other");
    assert_string_equal(seen_pairs(&pairs).uri, "/script");
    add_pair(&pairs, "REQUEST_URI", "/request");
    add_pair(&pairs, "SCRIPT_NAME", "/other");
    add_pair(&pairs, "REQUEST_URI", "/other");
    assert_string_equal(seen_pairs(&pairs).uri, "/request");
}

static void names_like_ours_are_others(void **state)
{
    static const char *const names[] = {"",
                                        "REQUEST_UR",
                                        "REQUEST_URI_",
                                        "request_uri",
                                        "REQUEST_METHODS",
                                        "REQUEST_METHO",
                                        "REQUEST_METHODE_LONG"};
    struct stream pairs = {.length = 0};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        add_pair(&pairs, names[i], "no");
    assert_string_equal(seen_pairs(&pairs).uri, "");
    assert_string_equal(seen_pairs(&pairs).method, "");
}

static void lengths_may_take_four_bytes(void **state)
{
    struct stream pairs = {.length = 0};

    (void)state;
    add_length(&pairs, strlen("REQUEST_URI"), true);
    add_length(&pairs, 1, true);
    add(&pairs, "REQUEST_URI/", strlen("REQUEST_URI/"));
    add_length(&pairs, strlen("REQUEST_METHOD"), true);
    add_length(&pairs, 3, false);
    add(&pairs, "REQUEST_METHODPUT", strlen("REQUEST_METHODPUT"));
    assert_string_equal(seen_pairs(&pairs).uri, "/");
    assert_string_equal(seen_pairs(&pairs).method, "PUT");
}

static void what_is_too_long_is_cut(void **state)
{
    char uri[PAGE_URI + 100];

    (void)state;
    for (size_t i = 0; i < sizeof uri; i++)
        uri[i] = (char)('a' + i % 26);
    for (size_t length = PAGE_URI - 1; length < sizeof uri; length += 20) {
        struct stream pairs = {.length = 0};
        struct sight sight;

        uri[length] = '\0';
        add_pair(&pairs, "REQUEST_METHOD", "VERSION-CONTROL-AND-MORE");
        add_pair(&pairs, "REQUEST_URI", uri);
        uri[length] = 'x';
        sight_init(&sight);
        struct stream stream = {.length = 0};
        add_request(&stream, 1, 0, &pairs, 37);
        for (size_t at = 0; at < stream.length; at++)
            sight_read(&sight, stream.bytes + at, 1);
        assert_memory_equal(sight.method, "VERSION-CONTROL-", PAGE_METHOD);
        assert_memory_equal(sight.uri, uri, PAGE_URI - 1);
        assert_int_equal(sight.uri[PAGE_URI - 1], length < PAGE_URI ? '\0' : uri[PAGE_URI - 1]);
    }
}

static void params_that_end_inside_a_pair_begin_a_request_too(void **state)
{
    struct stream pairs = nginx_pairs();

    (void)state;
    add_length(&pairs, 0x7fffffff, true);
    add_length(&pairs, 0x7fffffff, true);
    add(&pairs, "REQUEST_URI", 11);
    assert_string_equal(seen_pairs(&pairs).uri, "/shop?a=b");
}

static void a_long_body_is_passed_over(void **state)
{
    struct stream stream = nginx_request(KEEP), body = {.length = 0};
    struct sight sight = seen(&stream, SIGHT_BEGUN);

    (void)state;
    add_record(&body, STDIN, 1, stream.bytes, stream.length, 5);
    add_record(&body, STDIN, 1, "", 0, 0);
    assert_int_equal(reads(&sight, &body), 0);
    assert_string_equal(sight.uri, "/shop?a=b");
}

static void nothing_follows_a_request_that_does_not_keep(void **state)
{
    struct stream stream = nginx_request(0), answer = response(1);
    struct sight sight = seen(&stream, SIGHT_BEGUN);

    (void)state;
    assert_int_equal(reads(&sight, &stream), 0);
    assert_string_equal(sight.uri, "/shop?a=b");
    assert_int_equal(writes(&sight, &answer), SIGHT_ENDED);
    assert_int_equal(writes(&sight, &answer), 0);
    assert_int_equal(reads(&sight, &stream), 0);
    assert_false(sight_keeps(&sight));
}

static void a_kept_connection_has_many_requests(void **state)
{
    struct stream first = nginx_request(KEEP), answer = response(1), second = {.length = 0};
    struct stream pairs = {.length = 0};
    struct sight sight = seen(&first, SIGHT_BEGUN);

    (void)state;
    assert_true(sight_keeps(&sight));
    assert_int_equal(writes(&sight, &answer), SIGHT_ENDED);
    assert_true(sight_keeps(&sight));
    assert_int_equal(writes(&sight, &answer), 0);

    add_pair(&pairs, "REQUEST_METHOD", "GET");
    add_request(&second, 1, KEEP, &pairs, 1000);
    assert_int_equal(reads(&sight, &second), SIGHT_BEGUN);
    assert_string_equal(sight.method, "GET");
    assert_string_equal(sight.uri, "");
    assert_int_equal(writes(&sight, &answer), SIGHT_ENDED);

    second.length = 0;
    add_request(&second, 1, 0, &pairs, 1000);
    assert_int_equal(reads(&sight, &second), SIGHT_BEGUN);
    assert_false(sight_keeps(&sight));
    assert_int_equal(writes(&sight, &answer), SIGHT_ENDED);
    assert_int_equal(writes(&sight, &answer), 0);
}

static void ends_with_the_last_byte_of_the_end(void **state)
{
    struct stream request = nginx_request(KEEP), answer = response(1);
    struct sight sight = seen(&request, SIGHT_BEGUN);

    (void)state;
    answer.length--;
    assert_int_equal(writes(&sight, &answer), 0);
    assert_int_equal(sight_wrote(&sight, answer.bytes + answer.length, 1), SIGHT_ENDED);
}

static void management_and_abort_change_nothing(void **state)
{
    struct stream stream = {.length = 0}, pairs = nginx_pairs(), answer = response(1);
    struct sight sight;

    (void)state;
    add_record(&stream, GET_VALUES, 0, "\16\0FCGI_MAX_CONNS", 16, 0);
    add_record(&stream, PARAMS, 0, "", 0, 0);
    add_record(&stream, PARAMS, 1, "", 0, 0); /* of no request */
    sight_init(&sight);
    assert_false(sight_manages(&sight));
    sight = seen(&stream, 0);
    assert_true(sight_manages(&sight));
    assert_int_equal(writes(&sight, &answer), 0);
    stream.length = 0;
    add_begin(&stream, 1, KEEP);
    add_record(&stream, GET_VALUES, 0, "", 0, 0);
    add_record(&stream, PARAMS, 1, pairs.bytes, 30, 2);
    add_record(&stream, PARAMS, 0, "", 0, 0);
    add_record(&stream, BEGIN, 0, "", 0, 0);
    add_record(&stream, PARAMS, 1, pairs.bytes + 30, pairs.length - 30, 0);
    assert_int_equal(reads(&sight, &stream), 0);
    stream.length = 0;
    add_record(&stream, PARAMS, 1, "", 0, 0);
    assert_int_equal(reads(&sight, &stream), SIGHT_BEGUN);
    assert_string_equal(sight.uri, "/shop?a=b");
    stream.length = 0;
    add_record(&stream, ABORT, 1, "", 0, 0);
    assert_int_equal(reads(&sight, &stream), 0);
    assert_int_equal(writes(&sight, &answer), SIGHT_ENDED);
}

static void requests_at_the_same_time_end_with_the_last(void **state)
{
    struct stream stream = nginx_request(KEEP), pairs = {.length = 0};
    struct stream first = response(1), second = response(2), third = response(3);
    struct sight sight = seen(&stream, SIGHT_BEGUN);

    (void)state;
    stream.length = 0;
    add_pair(&pairs, "REQUEST_URI", "/second");
    add_request(&stream, 2, KEEP, &pairs, 5);
    assert_int_equal(reads(&sight, &stream), SIGHT_BEGUN);
    assert_string_equal(sight.uri, "/second");
    assert_int_equal(writes(&sight, &third), 0);
    assert_int_equal(writes(&sight, &second), 0);
    assert_int_equal(writes(&sight, &second), 0);
    assert_int_equal(writes(&sight, &first), SIGHT_ENDED);
}

static void params_of_another_request_do_not_mix_in(void **state)
{
    struct stream stream = {.length = 0}, pairs = nginx_pairs();
    struct sight sight;

    (void)state;
    add_begin(&stream, 1, KEEP);
    add_begin(&stream, 2, KEEP);
    add_record(&stream, PARAMS, 2, pairs.bytes, 40, 0);
    add_record(&stream, PARAMS, 1, pairs.bytes, 50, 0);
    add_record(&stream, PARAMS, 2, pairs.bytes + 40, pairs.length - 40, 0);
    add_record(&stream, PARAMS, 1, "", 0, 0);
    sight = seen(&stream, 0);
    stream.length = 0;
    add_record(&stream, PARAMS, 2, "", 0, 0);
    assert_int_equal(reads(&sight, &stream), SIGHT_BEGUN);
    assert_string_equal(sight.uri, "/shop?a=b");
}

static void a_request_may_be_answered_before_its_header_is_complete(void **state)
{
    struct stream stream = nginx_request(KEEP), rest = {.length = 0}, answer = response(1);
    struct sight sight;

    (void)state;
    add(&rest, stream.bytes + stream.length - 16, 16);
    stream.length -= 16;
    sight = seen(&stream, 0);
    assert_int_equal(writes(&sight, &answer), SIGHT_ENDED);
    assert_int_equal(reads(&sight, &rest), 0);
    stream = nginx_request(KEEP);
    assert_int_equal(reads(&sight, &stream), SIGHT_BEGUN);
}

/* ---- SCGI ---- */

#define SAMPLE "70:CONTENT_LENGTH\00027\0SCGI\0001\0REQUEST_METHOD\0POST\0REQUEST_URI\0/deepthought\0,"

static void sees_a_request_of_scgi(void **state)
{
    struct sight sight = SEEN(SAMPLE "What is the answer to life?", SIGHT_BEGUN);
    struct stream answer = response(1);

    (void)state;
    assert_string_equal(sight.method, "POST");
    assert_string_equal(sight.uri, "/deepthought");
    assert_false(sight_keeps(&sight));
    assert_int_equal(writes(&sight, &answer), 0);
    sight = seen_text(SAMPLE, sizeof SAMPLE - 2, 0); /* the comma is missing */
    assert_int_equal(sight_read(&sight, ",", 1), SIGHT_BEGUN);
    assert_int_equal(sight_read(&sight, SAMPLE, sizeof SAMPLE - 1), 0);
    assert_string_equal(sight.uri, "/deepthought");
}

static void scgi_has_the_same_choice_of_names(void **state)
{
    (void)state;
    assert_string_equal(SEEN("44:SCRIPT_NAME\0/s\0REQUEST_URI\0\0DOCUMENT_URI\0/d\0,", SIGHT_BEGUN).uri,
                        "/s");
    assert_string_equal(SEEN("28:REQUEST_URI\0/a\0REQUEST_URI_\0,", SIGHT_BEGUN).uri, "/a");
    assert_string_equal(SEEN("13:REQUEST_URI\0/,", SIGHT_BEGUN).uri, "/"); /* ends inside a value */
    assert_string_equal(SEEN("0:,", SIGHT_BEGUN).uri, "");
    assert_string_equal(SEEN("0000003:a\0\0,", SIGHT_BEGUN).uri, "");
}

/* ---- what is neither ---- */

static void another_protocol_begins_at_once(void **state)
{
    struct sight sight = SEEN("GET / HTTP/1.1\r\n", SIGHT_BEGUN);

    (void)state;
    assert_string_equal(sight.method, "");
    assert_string_equal(sight.uri, "");
    assert_false(sight_keeps(&sight));
    assert_int_equal(sight_wrote(&sight, "HTTP/1.1 200\r\n", 14), 0);
    assert_int_equal(sight_read(&sight, "1:", 2), 0);
    sight_init(&sight);
    assert_int_equal(sight_read(&sight, "G", 1), SIGHT_BEGUN);
    sight_init(&sight);
    assert_int_equal(sight_read(&sight, NULL, 0), 0);
    assert_int_equal(sight_wrote(&sight, NULL, 0), 0);
}

static void a_stream_that_breaks_becomes_unknown(void **state)
{
    struct stream stream = {.length = 0}, pairs = nginx_pairs();
    struct sight sight;

    (void)state;
    add_begin(&stream, 1, KEEP);
    add_record(&stream, PARAMS, 1, pairs.bytes, pairs.length, 0);
    add(&stream, "\2\4\0\1\0\0\0\0", 8);
    sight = seen(&stream, SIGHT_BEGUN);
    assert_string_equal(sight.method, "");
    assert_string_equal(sight.uri, "");
    assert_false(sight_keeps(&sight));

    stream.length = 0;
    add_record(&stream, BEGIN, 1, "short", 5, 0);
    sight = seen(&stream, SIGHT_BEGUN);
    stream = nginx_request(0);
    assert_int_equal(reads(&sight, &stream), 0);

    SEEN("12345678:", SIGHT_BEGUN);
    SEEN("12x", SIGHT_BEGUN);
    assert_string_equal(SEEN("14:REQUEST_URI\0/\0;", SIGHT_BEGUN).uri, "");
}

static void a_break_is_no_second_request(void **state)
{
    struct stream stream = nginx_request(KEEP), rest = {.length = 0}, answer = response(1);
    struct sight sight = seen(&stream, SIGHT_BEGUN);

    (void)state;
    add(&rest, "broken!!", 8);
    assert_int_equal(reads(&sight, &rest), 0);
    assert_string_equal(sight.uri, "/shop?a=b");
    assert_false(sight_keeps(&sight));
    assert_int_equal(reads(&sight, &stream), 0);
    assert_int_equal(writes(&sight, &answer), 0);
}

/* Taken away by the worker, and shown to nobody. */
static void what_is_missed_is_unknown(void **state)
{
    struct stream stream = nginx_request(KEEP), only = nginx_request(0), answer = response(1);
    struct sight sight;

    (void)state;
    sight_init(&sight);
    assert_int_equal(sight_read(&sight, stream.bytes, 40), 0);
    assert_int_equal(sight_missed(&sight), SIGHT_BEGUN);
    assert_string_equal(sight.uri, "");
    assert_int_equal(reads(&sight, &stream), 0);
    assert_int_equal(writes(&sight, &answer), 0);

    sight = seen(&stream, SIGHT_BEGUN);
    assert_int_equal(sight_missed(&sight), 0);
    assert_string_equal(sight.uri, "/shop?a=b");
    assert_false(sight_keeps(&sight));
    assert_int_equal(writes(&sight, &answer), 0);

    sight = seen(&only, SIGHT_BEGUN);
    assert_int_equal(sight_missed(&sight), 0); /* the body: what is written still counts */
    assert_int_equal(sight_wrote(&sight, NULL, 0), 0);
    assert_int_equal(writes(&sight, &answer), SIGHT_ENDED);
}

static void what_is_written_may_break(void **state)
{
    struct stream stream = nginx_request(KEEP), answer = {.length = 0}, good = response(1);
    struct sight sight = seen(&stream, SIGHT_BEGUN);

    (void)state;
    add(&answer, "Status: 500\r\n\r\n", 15);
    assert_int_equal(writes(&sight, &answer), 0);
    assert_int_equal(writes(&sight, &good), 0);
    assert_int_equal(reads(&sight, &stream), SIGHT_BEGUN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sees_a_request_of_nginx),
        cmocka_unit_test(begins_with_the_last_byte_of_the_empty_record),
        cmocka_unit_test(pairs_may_be_split_over_records),
        cmocka_unit_test(without_request_uri_the_next_best_name_counts),
        cmocka_unit_test(names_like_ours_are_others),
        cmocka_unit_test(lengths_may_take_four_bytes),
        cmocka_unit_test(what_is_too_long_is_cut),
        cmocka_unit_test(params_that_end_inside_a_pair_begin_a_request_too),
        cmocka_unit_test(a_long_body_is_passed_over),
        cmocka_unit_test(nothing_follows_a_request_that_does_not_keep),
        cmocka_unit_test(a_kept_connection_has_many_requests),
        cmocka_unit_test(ends_with_the_last_byte_of_the_end),
        cmocka_unit_test(management_and_abort_change_nothing),
        cmocka_unit_test(requests_at_the_same_time_end_with_the_last),
        cmocka_unit_test(params_of_another_request_do_not_mix_in),
        cmocka_unit_test(a_request_may_be_answered_before_its_header_is_complete),
        cmocka_unit_test(sees_a_request_of_scgi),
        cmocka_unit_test(scgi_has_the_same_choice_of_names),
        cmocka_unit_test(another_protocol_begins_at_once),
        cmocka_unit_test(a_stream_that_breaks_becomes_unknown),
        cmocka_unit_test(a_break_is_no_second_request),
        cmocka_unit_test(what_is_missed_is_unknown),
        cmocka_unit_test(what_is_written_may_break),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
