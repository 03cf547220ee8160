/*
 * The web server's side of one FastCGI request (role Responder, specification 6.2) on a connection of its
 * own. No I/O: the caller carries bytes both ways, in both directions at the same time, because an
 * application may answer before it has read the whole body.
 */
#ifndef FCGIPOOL_PROTOCOL_FCGI_CLIENT_H
#define FCGIPOOL_PROTOCOL_FCGI_CLIENT_H

#include "protocol/fcgi.h"
#include "protocol/fcgi_pairs.h"

/* The id of the one request. */
enum { FCGI_CLIENT_REQUEST_ID = 1 };

enum fcgi_client_event {
    FCGI_CLIENT_MORE,   /* all input is used up */
    FCGI_CLIENT_STDOUT, /* a piece of the response, never empty */
    FCGI_CLIENT_STDERR, /* a piece of what the application complains of, never empty */
    FCGI_CLIENT_END,    /* the answer is complete: client->end */
    FCGI_CLIENT_FAULT,  /* client->fault says why; every later call says the same */
};

enum fcgi_client_phase { FCGI_CLIENT_SENDS_PARAMS, FCGI_CLIENT_SENDS_STDIN, FCGI_CLIENT_SENT };

struct fcgi_client {
    struct fcgi_end_request end; /* from FCGI_CLIENT_END on */
    enum wire_fault fault;
    struct fcgi_parser parser; /* to read: parser.header is the record at hand, or at fault */

    /* private: what is sent */
    enum fcgi_client_phase phase;
    struct fcgi_pairs_encoder params;
    uint8_t staged[FCGI_HEADER_LENGTH + FCGI_BODY_LENGTH];
    uint8_t staged_length;
    uint8_t staged_position;
    uint16_t content_left;
    uint8_t padding_left;

    /* private: what is received */
    bool ended;
    bool stdout_ended;
    bool stderr_ended;
    uint8_t body[FCGI_BODY_LENGTH];
    uint8_t body_length;
};

/* A request with `count` parameters, which stay borrowed until fcgi_client_sent. `flags`: 0 or
 * FCGI_KEEP_CONN. Returns NONE, or NAME_LENGTH or VALUE_LENGTH when a parameter cannot be encoded. */
__attribute__((warn_unused_result)) enum wire_fault
fcgi_client_init(struct fcgi_client *client, const struct pair *params, size_t count, uint8_t flags);

/* Writes the next bytes to send, as many as there are and fit; any `size` will do. `body` is what is known of
 * the request body beyond what earlier calls took; what is taken now comes off its front. Bytes that were
 * offered once must be offered again until taken, for the record that announces them may be on its way.
 * `body_complete`: nothing follows `body`. Returns how many bytes were written; 0 (with `size` > 0): nothing
 * to send before more of the body is there, or ever (fcgi_client_sent). After FCGI_CLIENT_END the rest need
 * not be sent on a connection that is not kept. */
size_t fcgi_client_send(struct fcgi_client *client, struct bytes *body, bool body_complete,
                        uint8_t *ret_bytes, size_t size);

/* True when fcgi_client_send has written the whole request. */
bool fcgi_client_sent(const struct fcgi_client *client);

/* The next event in the received bytes. What was used is taken off the front of `input`; call again until
 * FCGI_CLIENT_MORE. With FCGI_CLIENT_STDOUT and FCGI_CLIENT_STDERR, `ret_piece` is a part of what `input`
 * was. Management records are skipped (4: the set of their types may grow). Faults: VERSION, BODY_LENGTH,
 * NULL_REQUEST_ID, MANAGEMENT_ID, REQUEST_ID, TYPE, STREAM_ENDED, AFTER_END. */
enum fcgi_client_event fcgi_client_receive(struct fcgi_client *client, struct bytes *input,
                                           struct bytes *ret_piece);

/* The connection has ended, and fcgi_client_receive has said FCGI_CLIENT_MORE.
 * Returns NONE after a complete answer, CUT, or the fault met before. */
__attribute__((warn_unused_result)) enum wire_fault fcgi_client_eof(const struct fcgi_client *client);

#endif
