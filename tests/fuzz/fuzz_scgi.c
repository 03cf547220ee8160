/*
 * The input is what a web server sends on one connection: an SCGI header block and a body. What is accepted
 * is then sent by a client, into buffers of odd sizes, and must be the input again, for a block can be
 * written in one way only.
 */
#include "protocol/scgi_client.h"
#include "tests/fuzz/fuzz.h"

enum { LIMIT = 4096 };

struct decoding {
    struct scgi_decoder decoder;
    struct transcript transcript;
    size_t count;  /* of pairs */
    size_t length; /* of names, values, and the null bytes after them, as far as they came */
    size_t used;
};

static void tell_name(struct decoding *decoding, struct bytes piece, struct pair *pairs)
{
    FUZZ_CHECK(piece.length > 0);
    decoding->length += piece.length;
    transcript_add(&decoding->transcript, piece);
    if (pairs)
        pairs[decoding->count] = (struct pair){.name = piece};
}

static void tell_value(struct decoding *decoding, struct bytes piece, struct pair *pairs)
{
    FUZZ_CHECK(piece.length > 0);
    decoding->length += piece.length;
    transcript_add(&decoding->transcript, piece);
    if (pairs)
        pairs[decoding->count].value = piece;
}

/* Reads until there is no more input; false at the end of the block, or after a fault. `pairs` may be NULL;
 * else the input is in one piece. */
static bool read_block(struct decoding *decoding, struct bytes *input, struct pair *pairs)
{
    const struct scgi_decoder *decoder = &decoding->decoder;
    struct bytes piece;

    for (;;) {
        switch (scgi_decoder_next(&decoding->decoder, input, &piece)) {
        case SCGI_EVENT_MORE:
            FUZZ_CHECK(input->length == 0);
            return true;
        case SCGI_EVENT_BEGIN:
            FUZZ_CHECK(decoder->length <= LIMIT);
            transcript_mark(&decoding->transcript, decoder->length);
            break;
        case SCGI_EVENT_NAME:
            tell_name(decoding, piece, pairs);
            break;
        case SCGI_EVENT_VALUE:
            tell_value(decoding, piece, pairs);
            break;
        case SCGI_EVENT_PAIR:
            transcript_mark(&decoding->transcript, SCGI_EVENT_PAIR);
            decoding->length += 2;
            decoding->count++;
            FUZZ_CHECK(decoding->length <= decoder->length);
            break;
        case SCGI_EVENT_END:
            FUZZ_CHECK(decoding->length == decoder->length);
            transcript_mark(&decoding->transcript, (uint32_t)decoder->content_length);
            return false;
        case SCGI_EVENT_FAULT:
            FUZZ_CHECK(decoder->fault != WIRE_FAULT_NONE);
            return false;
        }
    }
}

/* Returns how the block ended. */
static enum wire_fault read_all(struct decoding *decoding, const uint8_t *data, size_t size,
                                enum fuzz_cut cut, struct pair *pairs)
{
    enum wire_fault fault;
    bool more = true;

    *decoding = (struct decoding){0};
    scgi_decoder_init(&decoding->decoder, LIMIT);
    for (size_t at = 0; more && at < size;) {
        struct bytes input = {.data = data + at, .length = fuzz_piece(cut, at, size - at)};

        at += input.length;
        more = read_block(decoding, &input, pairs);
        decoding->used = at - input.length;
    }
    fault = scgi_decoder_finish(&decoding->decoder);
    transcript_mark(&decoding->transcript, fault);
    return fault;
}

/* The body is offered in pieces too. */
static void send_again(const struct pair *pairs, const struct decoding *decoding, const uint8_t *data,
                       size_t size)
{
    uint64_t content_length = decoding->decoder.content_length;
    struct bytes rest = {.data = data + decoding->used, .length = size - decoding->used};
    struct bytes body = {0};
    struct scgi_client client;
    uint8_t buffer[64];
    size_t done = 0;

    if (rest.length > content_length)
        rest.length = (size_t)content_length;
    size = decoding->used + rest.length;
    FUZZ_CHECK(scgi_client_init(&client, pairs, decoding->count) == WIRE_FAULT_NONE);
    for (size_t step = 1; done < size; step++) {
        size_t length;

        if (body.length == 0)
            body = bytes_take(&rest, step * 31 % 97);
        length = scgi_client_send(&client, &body, buffer, 1 + step * 37 % sizeof buffer);
        FUZZ_CHECK(length <= size - done && memcmp(buffer, data + done, length) == 0);
        done += length;
    }
    FUZZ_CHECK(scgi_client_sent(&client) == (size - decoding->used == content_length));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct pair pairs[LIMIT];
    struct decoding whole;
    struct decoding other;
    enum wire_fault fault = read_all(&whole, data, size, FUZZ_WHOLE, pairs);

    for (int cut = FUZZ_WHOLE + 1; cut < FUZZ_CUTS; cut++) {
        FUZZ_CHECK(read_all(&other, data, size, (enum fuzz_cut)cut, NULL) == fault);
        FUZZ_CHECK(other.count == whole.count && other.used == whole.used);
        FUZZ_CHECK(transcript_same(&whole.transcript, &other.transcript));
    }
    if (fault == WIRE_FAULT_NONE)
        send_again(pairs, &whole, data, size);
    return 0;
}
