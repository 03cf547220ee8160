/*
 * FastCGI 1.0 records (sections are those of the specification of 29 April 1996): constants, an incremental
 * parser (bytes in, split anywhere; events out; nothing copied but the 8 bytes of a header) and encoders.
 * Which record may come when, and from whom, is the matter of client and server.
 */
#ifndef FCGIPOOL_PROTOCOL_FCGI_H
#define FCGIPOOL_PROTOCOL_FCGI_H

#include "protocol/bytes.h"
#include "protocol/wire_fault.h"

#include <stdbool.h>
#include <stdint.h>

enum fcgi_type {
#define FCGI_TYPE(id, number) FCGI_##id = number,
#include "protocol/fcgi.def"
};

enum fcgi_role {
#define FCGI_ROLE(id, number) FCGI_##id = number,
#include "protocol/fcgi.def"
};

enum fcgi_status {
#define FCGI_STATUS(id, number) FCGI_##id = number,
#include "protocol/fcgi.def"
};

enum {
    FCGI_LISTEN_FD = 0,       /* 2.2: the listening socket of an application */
    FCGI_VERSION = 1,         /* 3.3 */
    FCGI_NULL_REQUEST_ID = 0, /* 3.3: marks management records */
    FCGI_HEADER_LENGTH = 8,   /* 3.3 */
    FCGI_CONTENT_MAX = 65535, /* 3.3 */
    FCGI_PADDING_MAX = 255,   /* 3.3 */
    FCGI_ALIGNMENT = 8,       /* 3.3: recommended boundary of records */
    FCGI_LENGTH_SHORT = 127,  /* 3.4: longest length in one byte */
    FCGI_BODY_LENGTH = 8,     /* 4.2, 5.1, 5.5: UNKNOWN_TYPE, BEGIN_REQUEST, END_REQUEST */
    FCGI_KEEP_CONN = 1,       /* 5.1: flag of BEGIN_REQUEST */
};

/* Longest name or value (3.4). */
#define FCGI_LENGTH_MAX 0x7fffffffU

/* Longest content that keeps the next record on its boundary without padding. */
#define FCGI_CONTENT_ALIGNED_MAX (FCGI_CONTENT_MAX - FCGI_CONTENT_MAX % FCGI_ALIGNMENT)

/* Variables of GET_VALUES (4.1). */
#define FCGI_MAX_CONNS  "FCGI_MAX_CONNS"
#define FCGI_MAX_REQS   "FCGI_MAX_REQS"
#define FCGI_MPXS_CONNS "FCGI_MPXS_CONNS"

/* The parts of a record header (3.3) that differ from record to record. */
struct fcgi_header {
    uint8_t type; /* enum fcgi_type, or a number that we do not know */
    uint16_t request_id;
    uint16_t content_length;
    uint8_t padding_length;
};

/* The body of BEGIN_REQUEST (5.1). */
struct fcgi_begin_request {
    uint16_t role; /* enum fcgi_role, or a number that we do not know */
    uint8_t flags; /* FCGI_KEEP_CONN */
};

/* The body of END_REQUEST (5.5). */
struct fcgi_end_request {
    uint32_t app_status;
    uint8_t protocol_status; /* enum fcgi_status, or a number that we do not know */
};

enum fcgi_event {
    FCGI_EVENT_MORE,    /* all input is used up */
    FCGI_EVENT_HEADER,  /* a record begins: parser->header */
    FCGI_EVENT_CONTENT, /* a piece of its content, never empty */
    FCGI_EVENT_END,     /* the record, with its padding, is complete */
    FCGI_EVENT_FAULT,   /* parser->fault says why; every later call says the same */
};

struct fcgi_parser {
    struct fcgi_header
        header; /* of the record at hand, from FCGI_EVENT_HEADER to FCGI_EVENT_END and beyond */
    enum wire_fault fault;

    /* private */
    bool in_record;
    uint8_t raw[FCGI_HEADER_LENGTH];
    uint8_t raw_length;
    uint16_t content_left;
    uint8_t padding_left;
};

/* The parser stands before the first record of a connection. */
void fcgi_parser_init(struct fcgi_parser *parser);

/* The next event. What was used is taken off the front of `input`; call again until FCGI_EVENT_MORE.
 * With FCGI_EVENT_CONTENT, `ret_content` is a part of what `input` was. Fault: VERSION. */
enum fcgi_event fcgi_parser_next(struct fcgi_parser *parser, struct bytes *input, struct bytes *ret_content);

/* True between two records: here a connection may end. */
bool fcgi_parser_idle(const struct fcgi_parser *parser);

/* Padding that ends a record of `content_length` on a boundary of 8 bytes (3.3): 0 to 7. */
uint8_t fcgi_padding(uint16_t content_length);

/* Writes the FCGI_HEADER_LENGTH bytes of a header (3.3). Content and padding follow. */
void fcgi_encode_header(const struct fcgi_header *header, uint8_t *ret_bytes);

/* Each writes a whole record of FCGI_HEADER_LENGTH + FCGI_BODY_LENGTH bytes (5.1, 5.5, 4.2). */
void fcgi_encode_begin_request(uint16_t request_id, const struct fcgi_begin_request *body,
                               uint8_t *ret_bytes);
void fcgi_encode_end_request(uint16_t request_id, const struct fcgi_end_request *body, uint8_t *ret_bytes);
void fcgi_encode_unknown_type(uint8_t type, uint8_t *ret_bytes);

/* Writes a whole record of FCGI_HEADER_LENGTH bytes (5.4). */
void fcgi_encode_abort_request(uint16_t request_id, uint8_t *ret_bytes);

/* Each reads a body of FCGI_BODY_LENGTH bytes (5.1, 5.5, 4.2); every sequence of bytes has a meaning. */
struct fcgi_begin_request fcgi_decode_begin_request(const uint8_t *body);
struct fcgi_end_request fcgi_decode_end_request(const uint8_t *body);
uint8_t fcgi_decode_unknown_type(const uint8_t *body);

/* Names as in the specification without "FCGI_", or "unknown"; static. */
const char *fcgi_type_name(uint8_t type);
const char *fcgi_status_name(uint8_t protocol_status);

#endif
