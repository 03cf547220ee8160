/*
 * The input is one connection of a worker: runs of bytes that are read or written, each behind a byte that
 * says which (the lowest bit) and how long (the others; all set: the rest). What is seen may not depend on
 * the pieces, and of a first request that the strict decoders accept it must be what they say.
 */
#include "pool/worker/sight.h"

#include "protocol/fcgi.h"
#include "protocol/fcgi_pairs.h"
#include "protocol/scgi.h"
#include "tests/fuzz/fuzz.h"

enum { RUN_REST = 127, FIRST_MAX = 8192 };

struct run {
    bool written;
    struct bytes bytes;
};

static bool next_run(struct bytes *input, struct run *ret_run)
{
    uint8_t head;

    if (input->length == 0)
        return false;
    head = *bytes_take(input, 1).data;
    ret_run->written = head & 1;
    ret_run->bytes = bytes_take(input, head >> 1 == RUN_REST ? input->length : head >> 1);
    return true;
}

/* ---- in pieces ---- */

static void check_text(const char *text, size_t size, const char *other)
{
    FUZZ_CHECK(strnlen(text, size) == strnlen(other, size));
    FUZZ_CHECK(memcmp(text, other, strnlen(text, size)) == 0);
}

static void check_same(const struct sight *a, const struct sight *b)
{
    check_text(a->method, sizeof a->method, b->method);
    check_text(a->uri, sizeof a->uri, b->uri);
    FUZZ_CHECK(sight_keeps(a) == sight_keeps(b));
}

/* The piece lies in memory of just its size, so that a sanitizer sees a read beyond. */
static unsigned pass(struct sight *sight, bool written, struct bytes piece)
{
    uint8_t *copy = malloc(piece.length + !piece.length);
    unsigned events;

    FUZZ_CHECK(copy);
    bytes_copy(copy, piece);
    events = written ? sight_wrote(sight, copy, piece.length) : sight_read(sight, copy, piece.length);
    free(copy);
    FUZZ_CHECK((events & ~(written ? (unsigned)SIGHT_ENDED : (unsigned)SIGHT_BEGUN)) == 0);
    return events;
}

/* A run in one piece and in others: the same events in all, and the same to show at its end. */
static void check_run(struct sight *sights, const struct run *run)
{
    unsigned whole = pass(&sights[FUZZ_WHOLE], run->written, run->bytes);

    for (int cut = FUZZ_WHOLE + 1; cut < FUZZ_CUTS; cut++) {
        unsigned events = 0;
        size_t step;

        for (size_t at = 0; at < run->bytes.length; at += step) {
            step = fuzz_piece((enum fuzz_cut)cut, at, run->bytes.length - at);
            events |= pass(&sights[cut], run->written, (struct bytes){run->bytes.data + at, step});
        }
        FUZZ_CHECK(events == whole);
        check_same(&sights[cut], &sights[FUZZ_WHOLE]);
    }
}

static void check_runs(struct bytes input)
{
    struct sight sights[FUZZ_CUTS];
    struct run run;

    for (int cut = 0; cut < FUZZ_CUTS; cut++)
        sight_init(&sights[cut]);
    while (next_run(&input, &run))
        check_run(sights, &run);
}

/* ---- beside the strict decoders ---- */

struct text {
    uint8_t bytes[PAGE_URI];
    size_t length; /* of the whole text */
};

enum { METHOD, REQUEST_URI, SCRIPT_NAME, DOCUMENT_URI, NAMES };

/* What the header of a request says: of each name the first value that is not empty. */
struct expected {
    struct text values[NAMES];
    struct text name; /* of the pair at hand */
    struct text value;
    bool complete;
};

static void text_add(struct text *text, struct bytes piece)
{
    for (size_t i = 0; i < piece.length && text->length + i < sizeof text->bytes; i++)
        text->bytes[text->length + i] = piece.data[i];
    text->length += piece.length;
}

static void end_pair(struct expected *expected)
{
    static const char *const names[] = {"REQUEST_METHOD", "REQUEST_URI", "SCRIPT_NAME", "DOCUMENT_URI"};

    for (size_t i = 0; i < NAMES; i++)
        if (expected->name.length == strlen(names[i]) &&
            memcmp(expected->name.bytes, names[i], strlen(names[i])) == 0 && expected->values[i].length == 0)
            expected->values[i] = expected->value;
    expected->name.length = 0;
    expected->value.length = 0;
}

/* Returns false after a fault. */
static bool add_params(struct fcgi_pairs_decoder *decoder, struct bytes input, struct expected *expected)
{
    struct bytes piece;

    for (;;) {
        switch (fcgi_pairs_decoder_next(decoder, &input, &piece)) {
        case FCGI_PAIRS_MORE:
            return true;
        case FCGI_PAIRS_FAULT:
            return false;
        case FCGI_PAIRS_BEGIN:
            break;
        case FCGI_PAIRS_NAME:
            text_add(&expected->name, piece);
            break;
        case FCGI_PAIRS_VALUE:
            text_add(&expected->value, piece);
            break;
        case FCGI_PAIRS_END:
            end_pair(expected);
            break;
        }
    }
}

/* The first request that comes in, if nothing but what belongs to it, or to no request, comes with it.
 * Returns how many bytes that takes. */
static size_t expect_fcgi(struct bytes input, struct expected *expected, bool *ret_keeps)
{
    const struct fcgi_pairs_limits limits = {FIRST_MAX, FIRST_MAX, FIRST_MAX};
    size_t size = input.length, body_length = 0;
    struct fcgi_pairs_decoder pairs;
    struct fcgi_parser parser;
    uint8_t body[FCGI_BODY_LENGTH] = {0};
    uint16_t id = 0;
    struct bytes content;

    fcgi_parser_init(&parser);
    fcgi_pairs_decoder_init(&pairs, &limits);
    for (;;) {
        enum fcgi_event event = fcgi_parser_next(&parser, &input, &content);
        const struct fcgi_header *header = &parser.header;

        if (event == FCGI_EVENT_MORE || event == FCGI_EVENT_FAULT)
            return 0;
        if (header->request_id == FCGI_NULL_REQUEST_ID)
            continue;
        if (event == FCGI_EVENT_HEADER) {
            bool begin = header->type == FCGI_BEGIN_REQUEST;

            if (begin ? id != 0 || header->content_length != FCGI_BODY_LENGTH : id != header->request_id)
                return 0;
            id = header->request_id;
            if (header->type == FCGI_PARAMS && header->content_length == 0)
                break;
        } else if (event == FCGI_EVENT_CONTENT && header->type == FCGI_BEGIN_REQUEST) {
            bytes_copy(body + body_length, content);
            body_length += content.length;
        } else if (event == FCGI_EVENT_CONTENT && header->type == FCGI_PARAMS) {
            if (!add_params(&pairs, content, expected))
                return 0;
        }
    }
    expected->complete = fcgi_pairs_decoder_finish(&pairs) == WIRE_FAULT_NONE;
    *ret_keeps = fcgi_decode_begin_request(body).flags & FCGI_KEEP_CONN;
    return size - input.length;
}

static size_t expect_scgi(struct bytes input, struct expected *expected)
{
    struct scgi_decoder decoder;
    size_t size = input.length;
    struct bytes piece;

    scgi_decoder_init(&decoder, FIRST_MAX);
    for (;;) {
        switch (scgi_decoder_next(&decoder, &input, &piece)) {
        case SCGI_EVENT_MORE:
        case SCGI_EVENT_FAULT:
            return 0;
        case SCGI_EVENT_BEGIN:
            break;
        case SCGI_EVENT_NAME:
            text_add(&expected->name, piece);
            break;
        case SCGI_EVENT_VALUE:
            text_add(&expected->value, piece);
            break;
        case SCGI_EVENT_PAIR:
            end_pair(expected);
            break;
        case SCGI_EVENT_END:
            expected->complete = true;
            return size - input.length;
        }
    }
}

static void check_value(const char *text, size_t size, const struct text *expected)
{
    size_t length = expected->length < size ? expected->length : size;

    FUZZ_CHECK(memcmp(text, expected->bytes, length) == 0);
    FUZZ_CHECK(length == size || text[length] == '\0');
}

static void check_first(struct bytes input)
{
    static struct expected expected;
    bool keeps = false;
    struct sight sight;
    size_t uri = REQUEST_URI, length;

    memset(&expected, 0, sizeof expected);
    sight_init(&sight);
    if (input.length == 0)
        return;
    if (*input.data == FCGI_VERSION)
        length = expect_fcgi(input, &expected, &keeps);
    else
        length = expect_scgi(input, &expected);
    if (!expected.complete)
        return;
    FUZZ_CHECK(pass(&sight, false, (struct bytes){input.data, length - 1}) == 0);
    FUZZ_CHECK(pass(&sight, false, (struct bytes){input.data + length - 1, 1}) == SIGHT_BEGUN);
    while (uri < DOCUMENT_URI && expected.values[uri].length == 0)
        uri++;
    check_value(sight.method, sizeof sight.method, &expected.values[METHOD]);
    check_value(sight.uri, sizeof sight.uri, &expected.values[uri]);
    FUZZ_CHECK(sight_keeps(&sight) == keeps);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = {.data = data, .length = size};
    struct run run;

    check_runs(input);
    check_first(input);
    if (next_run(&input, &run) && !run.written)
        check_first(run.bytes);
    return 0;
}
