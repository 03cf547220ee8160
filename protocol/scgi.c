/* The rules of a header block first, then decoder and encoder, which share them; see scgi.h. */
#include "protocol/scgi.h"

#include <stdio.h>

/* ---- rules ---- */

static bool rules_name_is(const struct scgi_rules *rules, const char *name)
{
    return rules->name_length == strlen(name) && memcmp(rules->name, name, rules->name_length) == 0;
}

/* Of names that are too long to be ours only the length is kept. */
static void rules_add_name(struct scgi_rules *rules, struct bytes piece)
{
    for (size_t i = 0; i < piece.length && rules->name_length + i < sizeof rules->name; i++)
        rules->name[rules->name_length + i] = (char)piece.data[i];
    rules->name_length += piece.length;
}

static enum wire_fault rules_end_name(struct scgi_rules *rules)
{
    bool is_content_length = rules_name_is(rules, "CONTENT_LENGTH");
    bool is_version = rules_name_is(rules, "SCGI");

    if (rules->name_length == 0)
        return WIRE_FAULT_SCGI_NAME;
    if (!is_content_length && !rules->content_length_seen)
        return WIRE_FAULT_SCGI_FIRST;
    if ((is_content_length && rules->content_length_seen) || (is_version && rules->version_seen))
        return WIRE_FAULT_SCGI_REPEATED;
    rules->header = is_content_length ? SCGI_HEADER_CONTENT_LENGTH
                    : is_version      ? SCGI_HEADER_VERSION
                                      : SCGI_HEADER_OTHER;
    rules->name_length = 0;
    rules->value_length = 0;
    rules->number = 0;
    rules->number_broken = false;
    return WIRE_FAULT_NONE;
}

static void rules_add_value(struct scgi_rules *rules, struct bytes piece)
{
    rules->value_length += piece.length;
    if (rules->header == SCGI_HEADER_OTHER)
        return;
    for (size_t i = 0; i < piece.length && !rules->number_broken; i++) {
        unsigned digit = piece.data[i] - (unsigned)'0';

        rules->number_broken = digit > 9 || rules->number > ((uint64_t)INT64_MAX - digit) / 10;
        rules->number = rules->number * 10 + digit;
    }
}

static enum wire_fault rules_end_value(struct scgi_rules *rules)
{
    switch (rules->header) {
    case SCGI_HEADER_CONTENT_LENGTH:
        if (rules->value_length == 0 || rules->number_broken)
            return WIRE_FAULT_SCGI_CONTENT_LENGTH;
        rules->content_length = rules->number;
        rules->content_length_seen = true;
        break;
    case SCGI_HEADER_VERSION:
        if (rules->value_length != 1 || rules->number != 1)
            return WIRE_FAULT_SCGI_VERSION;
        rules->version_seen = true;
        break;
    case SCGI_HEADER_OTHER:
        break;
    }
    return WIRE_FAULT_NONE;
}

static enum wire_fault rules_end(const struct scgi_rules *rules)
{
    if (!rules->content_length_seen)
        return WIRE_FAULT_SCGI_FIRST;
    return rules->version_seen ? WIRE_FAULT_NONE : WIRE_FAULT_SCGI_VERSION;
}

/* ---- decoder ---- */

void scgi_decoder_init(struct scgi_decoder *decoder, uint32_t limit)
{
    *decoder = (struct scgi_decoder){.limit = limit};
}

static enum scgi_event fail(struct scgi_decoder *decoder, enum wire_fault fault)
{
    decoder->fault = fault;
    return SCGI_EVENT_FAULT;
}

/* "0:", or digits of which the first is not 0, and a colon. */
static enum scgi_event take_length(struct scgi_decoder *decoder, struct bytes *input)
{
    while (input->length > 0) {
        uint8_t c = *bytes_take(input, 1).data;
        uint64_t length = (uint64_t)decoder->length * 10 + c - '0';

        if (c == ':' && decoder->digits > 0) {
            decoder->left = decoder->length;
            decoder->part = SCGI_PART_NAME;
            return SCGI_EVENT_BEGIN;
        }
        if (c < '0' || c > '9' || (decoder->digits > 0 && decoder->length == 0))
            return fail(decoder, WIRE_FAULT_SCGI_NETSTRING);
        if (length > decoder->limit)
            return fail(decoder, WIRE_FAULT_SCGI_LENGTH);
        decoder->length = (uint32_t)length;
        decoder->digits = 1;
    }
    return SCGI_EVENT_MORE;
}

/* What there is of a name or value; empty at its null byte. */
static struct bytes take_text(struct scgi_decoder *decoder, struct bytes *input)
{
    size_t limit = input->length < decoder->left ? input->length : decoder->left;
    const uint8_t *end = memchr(input->data, '\0', limit);
    struct bytes text = bytes_take(input, end ? (size_t)(end - input->data) : limit);

    decoder->left -= (uint32_t)text.length;
    return text;
}

static void skip_null_byte(struct scgi_decoder *decoder, struct bytes *input)
{
    bytes_take(input, 1);
    decoder->left--;
}

/* The end of the block, where only a name may be due. SCGI_EVENT_MORE: the comma is. */
static enum scgi_event end_block(struct scgi_decoder *decoder)
{
    bool odd = decoder->part == SCGI_PART_VALUE || decoder->rules.name_length > 0;
    enum wire_fault fault = odd ? WIRE_FAULT_SCGI_ODD : rules_end(&decoder->rules);

    if (fault != WIRE_FAULT_NONE)
        return fail(decoder, fault);
    decoder->part = SCGI_PART_COMMA;
    return SCGI_EVENT_MORE;
}

static enum scgi_event take_name(struct scgi_decoder *decoder, struct bytes *input, struct bytes *ret_piece)
{
    struct bytes text = take_text(decoder, input);
    enum wire_fault fault;

    if (text.length > 0) {
        rules_add_name(&decoder->rules, text);
        *ret_piece = text;
        return SCGI_EVENT_NAME;
    }
    skip_null_byte(decoder, input);
    fault = rules_end_name(&decoder->rules);
    if (fault != WIRE_FAULT_NONE)
        return fail(decoder, fault);
    decoder->part = SCGI_PART_VALUE;
    return SCGI_EVENT_MORE;
}

static enum scgi_event take_value(struct scgi_decoder *decoder, struct bytes *input, struct bytes *ret_piece)
{
    struct bytes text = take_text(decoder, input);
    enum wire_fault fault;

    if (text.length > 0) {
        rules_add_value(&decoder->rules, text);
        *ret_piece = text;
        return SCGI_EVENT_VALUE;
    }
    skip_null_byte(decoder, input);
    fault = rules_end_value(&decoder->rules);
    if (fault != WIRE_FAULT_NONE)
        return fail(decoder, fault);
    decoder->part = SCGI_PART_NAME;
    return SCGI_EVENT_PAIR;
}

static enum scgi_event take_comma(struct scgi_decoder *decoder, struct bytes *input)
{
    if (*bytes_take(input, 1).data != ',')
        return fail(decoder, WIRE_FAULT_SCGI_NETSTRING);
    decoder->content_length = decoder->rules.content_length;
    decoder->part = SCGI_PART_BODY;
    return SCGI_EVENT_END;
}

enum scgi_event scgi_decoder_next(struct scgi_decoder *decoder, struct bytes *input, struct bytes *ret_piece)
{
    enum scgi_event event = SCGI_EVENT_MORE;

    if (decoder->fault != WIRE_FAULT_NONE)
        return SCGI_EVENT_FAULT;
    while (event == SCGI_EVENT_MORE) {
        bool in_block = decoder->part == SCGI_PART_NAME || decoder->part == SCGI_PART_VALUE;

        if (decoder->part == SCGI_PART_BODY)
            return SCGI_EVENT_END;
        if (in_block && decoder->left == 0) {
            event = end_block(decoder);
            continue;
        }
        if (input->length == 0)
            return SCGI_EVENT_MORE;
        if (decoder->part == SCGI_PART_LENGTH)
            event = take_length(decoder, input);
        else if (decoder->part == SCGI_PART_NAME)
            event = take_name(decoder, input, ret_piece);
        else if (decoder->part == SCGI_PART_VALUE)
            event = take_value(decoder, input, ret_piece);
        else
            event = take_comma(decoder, input);
    }
    return event;
}

enum wire_fault scgi_decoder_finish(const struct scgi_decoder *decoder)
{
    if (decoder->fault != WIRE_FAULT_NONE)
        return decoder->fault;
    return decoder->part == SCGI_PART_BODY ? WIRE_FAULT_NONE : WIRE_FAULT_CUT;
}

/* ---- encoder ---- */

enum { PART_PREFIX, PART_NAME, PART_NAME_END, PART_VALUE, PART_VALUE_END, PART_COMMA, PART_NONE };

static bool has_null_byte(struct bytes text)
{
    return text.length > 0 && memchr(text.data, '\0', text.length);
}

static enum wire_fault check_pair(struct scgi_rules *rules, const struct pair *pair)
{
    enum wire_fault fault;

    if (has_null_byte(pair->name) || has_null_byte(pair->value))
        return WIRE_FAULT_SCGI_NULL_BYTE;
    rules_add_name(rules, pair->name);
    fault = rules_end_name(rules);
    if (fault != WIRE_FAULT_NONE)
        return fault;
    rules_add_value(rules, pair->value);
    return rules_end_value(rules);
}

enum wire_fault scgi_encoder_init(struct scgi_encoder *encoder, const struct pair *pairs, size_t count)
{
    struct scgi_rules rules = {0};
    enum wire_fault fault = WIRE_FAULT_NONE;
    char prefix[sizeof encoder->prefix];
    uint64_t length = 0;
    int digits;

    for (size_t i = 0; i < count && fault == WIRE_FAULT_NONE; i++) {
        fault = check_pair(&rules, &pairs[i]);
        length += pairs[i].name.length + 1 + pairs[i].value.length + 1;
    }
    if (fault == WIRE_FAULT_NONE)
        fault = rules_end(&rules);
    if (fault != WIRE_FAULT_NONE)
        return fault;

    digits = snprintf(prefix, sizeof prefix, "%llu:", (unsigned long long)length);
    *encoder = (struct scgi_encoder){
        .left = (unsigned)digits + length + 1,
        .content_length = rules.content_length,
        .pairs = pairs,
        .count = count,
        .prefix_length = (uint8_t)digits,
    };
    memcpy(encoder->prefix, prefix, encoder->prefix_length);
    return WIRE_FAULT_NONE;
}

/* The rest of the part at hand. */
static struct bytes rest_of_part(const struct scgi_encoder *encoder)
{
    struct bytes part = {.data = (const uint8_t *)"", .length = 1};

    switch (encoder->part) {
    case PART_PREFIX:
        part = (struct bytes){.data = encoder->prefix, .length = encoder->prefix_length};
        break;
    case PART_NAME:
        part = encoder->pairs[encoder->index].name;
        break;
    case PART_VALUE:
        part = encoder->pairs[encoder->index].value;
        break;
    case PART_COMMA:
        part = bytes_of(",");
        break;
    default: /* the null byte after a name or value */
        break;
    }
    bytes_take(&part, encoder->position);
    return part;
}

static void next_part(struct scgi_encoder *encoder)
{
    encoder->position = 0;
    if (encoder->part == PART_VALUE_END && ++encoder->index < encoder->count)
        encoder->part = PART_NAME;
    else
        encoder->part++;
}

size_t scgi_encoder_next(struct scgi_encoder *encoder, uint8_t *ret_bytes, size_t size)
{
    size_t done = 0;

    while (encoder->part != PART_NONE) {
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
