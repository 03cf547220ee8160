/*
 * The application's side of a FastCGI connection: many requests at a time, multiplexed by their ids
 * (specification 3.3), and what the web server asks of the application itself (4). No I/O: bytes come in,
 * events and bytes to be sent come out. What is answered is the caller's: records by fcgi.h, the end by
 * fcgi_server_end.
 */
#ifndef FCGIPOOL_PROTOCOL_FCGI_SERVER_H
#define FCGIPOOL_PROTOCOL_FCGI_SERVER_H

#include "protocol/fcgi.h"
#include "protocol/fcgi_pairs.h"

enum fcgi_server_event {
    FCGI_SERVER_MORE,       /* all input is used up */
    FCGI_SERVER_BEGIN,      /* a request begins: server->begun; to be taken (fcgi_server_take) before the next
                               call, or it is skipped */
    FCGI_SERVER_PAIR,       /* a parameter of it begins: request->params.name_length, .value_length */
    FCGI_SERVER_NAME,       /* a piece of the name, never empty */
    FCGI_SERVER_VALUE,      /* a piece of the value, never empty */
    FCGI_SERVER_PAIR_END,   /* the parameter is complete */
    FCGI_SERVER_PARAMS_END, /* all of them are there */
    FCGI_SERVER_STDIN,      /* a piece of the body, never empty */
    FCGI_SERVER_STDIN_END,  /* the body is complete; an Authorizer (6.3) need not get one */
    FCGI_SERVER_ABORT,      /* the web server wants no answer any more (5.4); the end is due all the same */
    FCGI_SERVER_REPLY,      /* a whole record to be sent: to a question about the application, or to a request
                               that cannot be taken */
    FCGI_SERVER_FAULT,      /* server->fault says why; every later call says the same */
};

enum fcgi_server_phase { FCGI_SERVER_IN_PARAMS, FCGI_SERVER_IN_STDIN, FCGI_SERVER_RECEIVED };

/* A request, from fcgi_server_take to fcgi_server_end. */
struct fcgi_server_request {
    uint16_t id;
    struct fcgi_pairs_decoder params;

    /* private */
    enum fcgi_server_phase phase;
};

/* What is taken, and what the web server is told of that (4.1). */
struct fcgi_server_limits {
    uint32_t capacity;  /* requests at a time on this connection, at least 1; 1: none is multiplexed */
    uint32_t max_conns; /* connections at a time, of the whole application */
    uint32_t max_reqs;  /* requests at a time, likewise */
    struct fcgi_pairs_limits params; /* of one request */
};

/* Enough for every reply: three variables, their names and ten digits each. */
#define FCGI_SERVER_REPLY_MAX (FCGI_HEADER_LENGTH + 3 * 32 + FCGI_ALIGNMENT)

struct fcgi_server {
    struct fcgi_server_request **requests; /* that are active, at limits.capacity places; NULL: free */
    struct fcgi_server_limits limits;
    uint32_t active;
    struct fcgi_begin_request begun; /* BEGIN: its role and flags */
    bool keeps;                      /* every request so far has asked to keep the connection */
    enum wire_fault fault;
    struct fcgi_parser parser; /* to read: parser.header is the record at hand, or at fault */

    /* private: the record at hand */
    struct fcgi_server_request *request; /* that it is of; NULL: of none that is active */
    struct bytes content;                /* of PARAMS or GET_VALUES, that is not yet decoded */
    bool decodes;                        /* PARAMS: there may be more events in it */
    uint8_t body[FCGI_BODY_LENGTH];
    uint8_t body_length;
    struct fcgi_pairs_decoder values; /* GET_VALUES */
    char name[16];                    /* as long as "FCGI_MPXS_CONNS" */
    size_t name_length;
    unsigned asked; /* a bit a variable */
    uint8_t reply[FCGI_SERVER_REPLY_MAX];
};

/* A connection at its begin. `places` is storage for limits->capacity pointers, which stays the caller's. */
void fcgi_server_init(struct fcgi_server *server, struct fcgi_server_request **places,
                      const struct fcgi_server_limits *limits);

/* After BEGIN: `request`, the caller's until fcgi_server_end, is the one that begins. */
void fcgi_server_take(struct fcgi_server *server, struct fcgi_server_request *request);

/* The next event. What was used is taken off the front of `input`; call again until FCGI_SERVER_MORE, and
 * leave the bytes where they are until then. `ret_request`: whom the event is about (not with BEGIN, REPLY
 * and FAULT). `ret_piece`: with NAME, VALUE and STDIN a part of what `input` was; with REPLY what is to be
 * sent, between two records of the answers, until the next call.
 *
 * Roles: Responder and Authorizer; others are refused with UNKNOWN_ROLE (5.5). More requests than there is
 * room for are refused with CANT_MPX_CONN or OVERLOADED. Records of a request that is not active are skipped,
 * for it may have been answered before all of it came.
 * Faults: VERSION, BODY_LENGTH, NULL_REQUEST_ID, MANAGEMENT_ID, TYPE, BEGUN, ORDER, STREAM_ENDED,
 * NAME_LENGTH, VALUE_LENGTH, PAIRS_LENGTH, PAIRS_CUT. */
enum fcgi_server_event fcgi_server_next(struct fcgi_server *server, struct bytes *input,
                                        struct fcgi_server_request **ret_request, struct bytes *ret_piece);

/* The bytes that end an answer: the ends of STDOUT, of STDERR if it was used, and END_REQUEST (5.3, 5.5). */
#define FCGI_SERVER_END_MAX (3 * FCGI_HEADER_LENGTH + FCGI_BODY_LENGTH)

/* Ends a request: its id is free, and what still comes of it is skipped. Returns how many bytes were written
 * to `ret_bytes`; FCGI_SERVER_END_MAX at most. */
size_t fcgi_server_end(struct fcgi_server *server, struct fcgi_server_request *request,
                       const struct fcgi_end_request *end, bool stderr_used, uint8_t *ret_bytes);

/* The connection has ended, and fcgi_server_next has said FCGI_SERVER_MORE.
 * Returns NONE between two requests, CUT, or the fault met before. */
__attribute__((warn_unused_result)) enum wire_fault fcgi_server_eof(const struct fcgi_server *server);

#endif
