/*
 * The input is a stream of name-value pairs. What is accepted is then encoded by a client as the parameters
 * of a request, into buffers of odd sizes, and must come back as the same pairs.
 */
#include "protocol/fcgi_client.h"
#include "tests/fuzz/fuzz.h"

enum { PAIRS_MAX = 4096 };

static const struct fcgi_pairs_limits limits = {.name = 200, .value = 2000, .total = PAIRS_MAX};

struct decoding {
    struct fcgi_pairs_decoder decoder;
    struct transcript transcript;
    size_t count;
    size_t name_length; /* of the pair at hand, as far as it came */
    size_t value_length;
};

/* Reads until there is no more input; false after a fault. `pairs` may be NULL; else the input is in one
 * piece. */
static bool read_pairs(struct decoding *decoding, struct bytes input, struct pair *pairs)
{
    struct fcgi_pairs_decoder *decoder = &decoding->decoder;
    struct bytes piece;

    for (;;) {
        switch (fcgi_pairs_decoder_next(decoder, &input, &piece)) {
        case FCGI_PAIRS_MORE:
            FUZZ_CHECK(input.length == 0);
            return true;
        case FCGI_PAIRS_BEGIN:
            FUZZ_CHECK(decoder->name_length <= limits.name && decoder->value_length <= limits.value);
            transcript_mark(&decoding->transcript, decoder->name_length);
            transcript_mark(&decoding->transcript, decoder->value_length);
            decoding->name_length = decoding->value_length = 0;
            if (pairs)
                pairs[decoding->count] = (struct pair){0};
            break;
        case FCGI_PAIRS_NAME:
            FUZZ_CHECK(piece.length > 0);
            decoding->name_length += piece.length;
            transcript_add(&decoding->transcript, piece);
            if (pairs && decoding->name_length == decoder->name_length)
                pairs[decoding->count].name = piece;
            break;
        case FCGI_PAIRS_VALUE:
            FUZZ_CHECK(piece.length > 0);
            decoding->value_length += piece.length;
            transcript_add(&decoding->transcript, piece);
            if (pairs && decoding->value_length == decoder->value_length)
                pairs[decoding->count].value = piece;
            break;
        case FCGI_PAIRS_END:
            FUZZ_CHECK(decoding->name_length == decoder->name_length);
            FUZZ_CHECK(decoding->value_length == decoder->value_length);
            decoding->count++;
            break;
        case FCGI_PAIRS_FAULT:
            FUZZ_CHECK(decoder->fault != WIRE_FAULT_NONE);
            return false;
        }
    }
}

/* Returns how the stream ended. */
static enum wire_fault read_stream(struct decoding *decoding, const uint8_t *data, size_t size,
                                   enum fuzz_cut cut, struct pair *pairs)
{
    enum wire_fault fault;
    size_t step;

    *decoding = (struct decoding){0};
    fcgi_pairs_decoder_init(&decoding->decoder, &limits);
    for (size_t at = 0; at < size; at += step) {
        step = fuzz_piece(cut, at, size - at);
        if (!read_pairs(decoding, (struct bytes){data + at, step}, pairs))
            break;
    }
    fault = fcgi_pairs_decoder_finish(&decoding->decoder);
    transcript_mark(&decoding->transcript, fault);
    return fault;
}

/* The content of a client's PARAMS records. */
static size_t send_params(const struct pair *pairs, size_t count, uint8_t *ret_params, size_t size)
{
    uint8_t buffer[64];
    struct fcgi_client client;
    struct fcgi_parser parser;
    struct bytes body = {0};
    struct bytes content;
    size_t length = 0;
    enum fcgi_event event;

    FUZZ_CHECK(fcgi_client_init(&client, pairs, count, 0) == WIRE_FAULT_NONE);
    fcgi_parser_init(&parser);
    for (size_t step = 1; !fcgi_client_sent(&client); step++) {
        struct bytes sent = {.data = buffer};

        sent.length = fcgi_client_send(&client, &body, true, buffer, 1 + step * 37 % sizeof buffer);
        FUZZ_CHECK(sent.length > 0);
        while ((event = fcgi_parser_next(&parser, &sent, &content)) != FCGI_EVENT_MORE) {
            FUZZ_CHECK(event != FCGI_EVENT_FAULT);
            if (event != FCGI_EVENT_CONTENT || parser.header.type != FCGI_PARAMS)
                continue;
            FUZZ_CHECK(content.length <= size - length);
            bytes_copy(ret_params + length, content);
            length += content.length;
        }
    }
    FUZZ_CHECK(fcgi_parser_idle(&parser));
    return length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct pair pairs[PAIRS_MAX];
    static uint8_t params[PAIRS_MAX];
    struct decoding whole;
    struct decoding other;
    enum wire_fault fault = read_stream(&whole, data, size, FUZZ_WHOLE, pairs);

    for (int cut = FUZZ_WHOLE + 1; cut < FUZZ_CUTS; cut++) {
        FUZZ_CHECK(read_stream(&other, data, size, (enum fuzz_cut)cut, NULL) == fault);
        FUZZ_CHECK(other.count == whole.count);
        FUZZ_CHECK(transcript_same(&whole.transcript, &other.transcript));
    }
    if (fault == WIRE_FAULT_NONE) {
        size_t length = send_params(pairs, whole.count, params, sizeof params);

        FUZZ_CHECK(length <= size); /* a length can be written too long, never too short */
        FUZZ_CHECK(read_stream(&other, params, length, FUZZ_RAGGED, NULL) == WIRE_FAULT_NONE);
        FUZZ_CHECK(other.count == whole.count);
        FUZZ_CHECK(transcript_same(&whole.transcript, &other.transcript));
    }
    return 0;
}
