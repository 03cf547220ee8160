/*
 * FastCGI name-value pairs (specification 3.4): the content of PARAMS, GET_VALUES and GET_VALUES_RESULT.
 * Decoder and encoder work on the stream, not on records: a pair may be split over pieces at any byte.
 * The decoder stores nothing; it tells the two lengths first, so that the receiver can make room.
 */
#ifndef FCGIPOOL_PROTOCOL_FCGI_PAIRS_H
#define FCGIPOOL_PROTOCOL_FCGI_PAIRS_H

#include "protocol/bytes.h"
#include "protocol/pair.h"
#include "protocol/wire_fault.h"

#include <stdint.h>

enum fcgi_pairs_event {
    FCGI_PAIRS_MORE,  /* all input is used up */
    FCGI_PAIRS_BEGIN, /* a pair begins: decoder->name_length, decoder->value_length */
    FCGI_PAIRS_NAME,  /* a piece of the name, never empty */
    FCGI_PAIRS_VALUE, /* a piece of the value, never empty */
    FCGI_PAIRS_END,   /* the pair is complete */
    FCGI_PAIRS_FAULT, /* decoder->fault says why; every later call says the same */
};

/* What the receiver is ready to take, in bytes. */
struct fcgi_pairs_limits {
    uint32_t name;
    uint32_t value;
    uint64_t total; /* of the whole stream, encoded lengths included */
};

enum fcgi_pairs_part {
    FCGI_PAIRS_PART_NAME_LENGTH,
    FCGI_PAIRS_PART_VALUE_LENGTH,
    FCGI_PAIRS_PART_NAME,
    FCGI_PAIRS_PART_VALUE,
};

struct fcgi_pairs_decoder {
    uint32_t name_length; /* of the pair at hand */
    uint32_t value_length;
    enum wire_fault fault;

    /* private */
    struct fcgi_pairs_limits limits;
    uint64_t total;
    enum fcgi_pairs_part part;
    uint32_t left;
    uint8_t raw[4];
    uint8_t raw_length;
};

/* The decoder stands at the start of a stream. */
void fcgi_pairs_decoder_init(struct fcgi_pairs_decoder *decoder, const struct fcgi_pairs_limits *limits);

/* The next event. What was used is taken off the front of `input`; call again until FCGI_PAIRS_MORE.
 * With FCGI_PAIRS_NAME and FCGI_PAIRS_VALUE, `ret_piece` is a part of what `input` was.
 * Faults: NAME_LENGTH, VALUE_LENGTH, PAIRS_LENGTH, each as soon as the length is known. */
enum fcgi_pairs_event fcgi_pairs_decoder_next(struct fcgi_pairs_decoder *decoder, struct bytes *input,
                                              struct bytes *ret_piece);

/* The stream has ended, and fcgi_pairs_decoder_next has said FCGI_PAIRS_MORE.
 * Returns NONE, PAIRS_CUT when that was inside a pair, or the fault met before. */
__attribute__((warn_unused_result)) enum wire_fault
fcgi_pairs_decoder_finish(const struct fcgi_pairs_decoder *decoder);

struct fcgi_pairs_encoder {
    uint64_t left; /* bytes of the stream still to come */

    /* private */
    const struct pair *pairs;
    size_t count;
    size_t index;
    uint8_t part;    /* of the pair at hand: lengths, name, value */
    size_t position; /* in the part */
    uint8_t lengths[8];
    uint8_t lengths_length;
};

/* Starts the stream of `count` pairs, which stay borrowed until its end.
 * Returns NONE, or NAME_LENGTH or VALUE_LENGTH when one is longer than FCGI_LENGTH_MAX. */
__attribute__((warn_unused_result)) enum wire_fault
fcgi_pairs_encoder_init(struct fcgi_pairs_encoder *encoder, const struct pair *pairs, size_t count);

/* Writes the next bytes of the stream, as many as fit. Returns how many; less than `size` only at the end. */
size_t fcgi_pairs_encoder_next(struct fcgi_pairs_encoder *encoder, uint8_t *ret_bytes, size_t size);

#endif
