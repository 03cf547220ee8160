/* Pairs as a stream: decoder first, then encoder; see fcgi_pairs.h. */
#include "protocol/fcgi_pairs.h"

#include "protocol/fcgi.h"

#include <stdbool.h>

enum { LONG_FORM = 0x80 };

void fcgi_pairs_decoder_init(struct fcgi_pairs_decoder *decoder, const struct fcgi_pairs_limits *limits)
{
    *decoder = (struct fcgi_pairs_decoder){.limits = *limits};
}

static enum fcgi_pairs_event fail(struct fcgi_pairs_decoder *decoder, enum wire_fault fault)
{
    decoder->fault = fault;
    return FCGI_PAIRS_FAULT;
}

/* Gathers a length of one or four bytes; true when it is complete. */
static bool take_length(struct fcgi_pairs_decoder *decoder, struct bytes *input, uint32_t *ret_length)
{
    while (input->length > 0) {
        decoder->raw[decoder->raw_length++] = *bytes_take(input, 1).data;
        decoder->total++;
        if (!(decoder->raw[0] & LONG_FORM))
            *ret_length = decoder->raw[0];
        else if (decoder->raw_length == sizeof decoder->raw)
            *ret_length = bytes_get_u32(decoder->raw) & FCGI_LENGTH_MAX;
        else
            continue;
        decoder->raw_length = 0;
        return true;
    }
    return false;
}

static enum fcgi_pairs_event take_piece(struct fcgi_pairs_decoder *decoder, struct bytes *input,
                                        enum fcgi_pairs_event event, struct bytes *ret_piece)
{
    if (input->length == 0)
        return FCGI_PAIRS_MORE;
    *ret_piece = bytes_take(input, decoder->left);
    decoder->left -= (uint32_t)ret_piece->length;
    return event;
}

static enum fcgi_pairs_event begin_pair(struct fcgi_pairs_decoder *decoder)
{
    if (decoder->value_length > decoder->limits.value)
        return fail(decoder, WIRE_FAULT_VALUE_LENGTH);
    decoder->total += (uint64_t)decoder->name_length + decoder->value_length;
    if (decoder->total > decoder->limits.total)
        return fail(decoder, WIRE_FAULT_PAIRS_LENGTH);
    decoder->part = FCGI_PAIRS_PART_NAME;
    decoder->left = decoder->name_length;
    return FCGI_PAIRS_BEGIN;
}

enum fcgi_pairs_event fcgi_pairs_decoder_next(struct fcgi_pairs_decoder *decoder, struct bytes *input,
                                              struct bytes *ret_piece)
{
    if (decoder->fault != WIRE_FAULT_NONE)
        return FCGI_PAIRS_FAULT;
    switch (decoder->part) {
    case FCGI_PAIRS_PART_NAME_LENGTH:
        if (!take_length(decoder, input, &decoder->name_length))
            return FCGI_PAIRS_MORE;
        if (decoder->name_length > decoder->limits.name)
            return fail(decoder, WIRE_FAULT_NAME_LENGTH);
        decoder->part = FCGI_PAIRS_PART_VALUE_LENGTH;
        __attribute__((fallthrough));
    case FCGI_PAIRS_PART_VALUE_LENGTH:
        if (!take_length(decoder, input, &decoder->value_length))
            return FCGI_PAIRS_MORE;
        return begin_pair(decoder);
    case FCGI_PAIRS_PART_NAME:
        if (decoder->left > 0)
            return take_piece(decoder, input, FCGI_PAIRS_NAME, ret_piece);
        decoder->part = FCGI_PAIRS_PART_VALUE;
        decoder->left = decoder->value_length;
        __attribute__((fallthrough));
    case FCGI_PAIRS_PART_VALUE:
        break;
    }
    if (decoder->left > 0)
        return take_piece(decoder, input, FCGI_PAIRS_VALUE, ret_piece);
    decoder->part = FCGI_PAIRS_PART_NAME_LENGTH;
    return FCGI_PAIRS_END;
}

enum wire_fault fcgi_pairs_decoder_finish(const struct fcgi_pairs_decoder *decoder)
{
    if (decoder->fault != WIRE_FAULT_NONE)
        return decoder->fault;
    if (decoder->part != FCGI_PAIRS_PART_NAME_LENGTH || decoder->raw_length > 0)
        return WIRE_FAULT_PAIRS_CUT;
    return WIRE_FAULT_NONE;
}

enum { PART_LENGTHS, PART_NAME, PART_VALUE };

static uint8_t length_size(size_t length)
{
    return length <= FCGI_LENGTH_SHORT ? 1 : 4;
}

/* Appends a length to the encoded lengths of the pair at hand. */
static void put_length(struct fcgi_pairs_encoder *encoder, size_t length)
{
    uint8_t *to = encoder->lengths + encoder->lengths_length;
    uint8_t size = length_size(length);

    if (size == 1)
        *to = (uint8_t)length;
    else
        bytes_put_u32(to, (uint32_t)length | ~FCGI_LENGTH_MAX);
    encoder->lengths_length = (uint8_t)(encoder->lengths_length + size);
}

/* Goes to the start of the pair at encoder->index, if there is one. */
static void start_pair(struct fcgi_pairs_encoder *encoder)
{
    encoder->part = PART_LENGTHS;
    encoder->lengths_length = 0;
    if (encoder->index < encoder->count) {
        put_length(encoder, encoder->pairs[encoder->index].name.length);
        put_length(encoder, encoder->pairs[encoder->index].value.length);
    }
}

enum wire_fault fcgi_pairs_encoder_init(struct fcgi_pairs_encoder *encoder, const struct pair *pairs,
                                        size_t count)
{
    uint64_t left = 0;

    for (size_t i = 0; i < count; i++) {
        if (pairs[i].name.length > FCGI_LENGTH_MAX)
            return WIRE_FAULT_NAME_LENGTH;
        if (pairs[i].value.length > FCGI_LENGTH_MAX)
            return WIRE_FAULT_VALUE_LENGTH;
        left += length_size(pairs[i].name.length) + pairs[i].name.length;
        left += length_size(pairs[i].value.length) + pairs[i].value.length;
    }
    *encoder = (struct fcgi_pairs_encoder){.left = left, .pairs = pairs, .count = count};
    start_pair(encoder);
    return WIRE_FAULT_NONE;
}

/* The rest of the part at hand. */
static struct bytes rest_of_part(const struct fcgi_pairs_encoder *encoder)
{
    const struct pair *pair = &encoder->pairs[encoder->index];
    struct bytes part = {.data = encoder->lengths, .length = encoder->lengths_length};

    if (encoder->part == PART_NAME)
        part = pair->name;
    else if (encoder->part == PART_VALUE)
        part = pair->value;
    bytes_take(&part, encoder->position);
    return part;
}

static void next_part(struct fcgi_pairs_encoder *encoder)
{
    encoder->position = 0;
    if (encoder->part++ == PART_VALUE) {
        encoder->index++;
        start_pair(encoder);
    }
}

size_t fcgi_pairs_encoder_next(struct fcgi_pairs_encoder *encoder, uint8_t *ret_bytes, size_t size)
{
    size_t done = 0;

    while (encoder->index < encoder->count) {
        struct bytes rest = rest_of_part(encoder);
        struct bytes piece = bytes_take(&rest, size - done);

        bytes_copy(ret_bytes + done, piece);
        done += piece.length;
        encoder->position += piece.length;
        if (rest.length > 0)
            break;
        next_part(encoder);
    }
    encoder->left -= done;
    return done;
}
