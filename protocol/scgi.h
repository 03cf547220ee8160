/*
 * The header block that begins an SCGI request (https://python.ca/scgi/protocol.txt): a netstring of names
 * and values, each ended by a null byte, with CONTENT_LENGTH in front and SCGI=1 anywhere. The body follows
 * at once. Decoder and encoder work on the stream, split at any byte. The decoder stores nothing; it tells
 * the length of the block first, so that the receiver can make room.
 */
#ifndef FCGIPOOL_PROTOCOL_SCGI_H
#define FCGIPOOL_PROTOCOL_SCGI_H

#include "protocol/bytes.h"
#include "protocol/pair.h"
#include "protocol/wire_fault.h"

#include <stdbool.h>
#include <stdint.h>

enum scgi_event {
    SCGI_EVENT_MORE,  /* all input is used up */
    SCGI_EVENT_BEGIN, /* the block begins: decoder->length */
    SCGI_EVENT_NAME,  /* a piece of a name, never empty */
    SCGI_EVENT_VALUE, /* a piece of its value, never empty */
    SCGI_EVENT_PAIR,  /* name and value are complete */
    SCGI_EVENT_END,   /* the block is complete: decoder->content_length; every later call says the same */
    SCGI_EVENT_FAULT, /* decoder->fault says why; every later call says the same */
};

enum scgi_header { SCGI_HEADER_OTHER, SCGI_HEADER_CONTENT_LENGTH, SCGI_HEADER_VERSION };

/* What a header block says of itself, as far as it is known; private to decoder and encoder. */
struct scgi_rules {
    uint64_t content_length;
    bool content_length_seen;
    bool version_seen;
    enum scgi_header header; /* the one at hand, and what is known of it */
    char name[14];           /* as long as "CONTENT_LENGTH" */
    size_t name_length;
    size_t value_length;
    uint64_t number;
    bool number_broken;
};

enum scgi_part {
    SCGI_PART_LENGTH,
    SCGI_PART_NAME,
    SCGI_PART_VALUE,
    SCGI_PART_COMMA,
    SCGI_PART_BODY,
};

struct scgi_decoder {
    uint32_t length;         /* of names, values and the null byte after each, from SCGI_EVENT_BEGIN on */
    uint64_t content_length; /* of the body, at most INT64_MAX, from SCGI_EVENT_END on */
    enum wire_fault fault;

    /* private */
    uint32_t limit;
    uint32_t left;
    uint8_t digits;
    enum scgi_part part;
    struct scgi_rules rules;
};

/* The decoder stands at the start of a connection. `limit`: the longest block that the receiver takes, in
 * bytes like decoder->length. */
void scgi_decoder_init(struct scgi_decoder *decoder, uint32_t limit);

/* The next event. What was used is taken off the front of `input`, the body stays there; call again until
 * SCGI_EVENT_MORE or SCGI_EVENT_END. With SCGI_EVENT_NAME and SCGI_EVENT_VALUE, `ret_piece` is a part of what
 * `input` was.
 * Faults: SCGI_LENGTH as soon as the length is known, SCGI_NETSTRING, SCGI_ODD, SCGI_NAME, SCGI_FIRST,
 * SCGI_CONTENT_LENGTH, SCGI_VERSION, SCGI_REPEATED. Other names may come again, although the specification
 * forbids it: nginx before 1.23 passes on what its client repeats. */
enum scgi_event scgi_decoder_next(struct scgi_decoder *decoder, struct bytes *input, struct bytes *ret_piece);

/* The connection has ended, and scgi_decoder_next has said SCGI_EVENT_MORE or SCGI_EVENT_END.
 * Returns NONE after a complete block, CUT, or the fault met before. */
__attribute__((warn_unused_result)) enum wire_fault scgi_decoder_finish(const struct scgi_decoder *decoder);

struct scgi_encoder {
    uint64_t left;           /* bytes of the block, as a netstring, still to come */
    uint64_t content_length; /* that the block announces */

    /* private */
    const struct pair *pairs;
    size_t count;
    size_t index;
    uint8_t part;
    size_t position; /* in the part */
    uint8_t prefix[24];
    uint8_t prefix_length;
};

/* Starts the block of `count` pairs, which stay borrowed until its end; the first is CONTENT_LENGTH, and one
 * is SCGI with the value 1. Returns NONE, or what a decoder would find: SCGI_NAME, SCGI_FIRST,
 * SCGI_CONTENT_LENGTH, SCGI_VERSION, SCGI_REPEATED; or SCGI_NULL_BYTE. */
__attribute__((warn_unused_result)) enum wire_fault scgi_encoder_init(struct scgi_encoder *encoder,
                                                                      const struct pair *pairs, size_t count);

/* Writes the next bytes of the block, as many as fit. Returns how many; less than `size` only at the end. */
size_t scgi_encoder_next(struct scgi_encoder *encoder, uint8_t *ret_bytes, size_t size);

#endif
