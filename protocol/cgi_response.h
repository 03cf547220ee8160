/*
 * The header of a CGI response (RFC 3875 section 6), as it comes on FastCGI's STDOUT: where it ends, and the
 * status that a web server would answer with. Lines end in LF or CRLF. Nothing is stored but the answer.
 */
#ifndef FCGIPOOL_PROTOCOL_CGI_RESPONSE_H
#define FCGIPOOL_PROTOCOL_CGI_RESPONSE_H

#include "protocol/bytes.h"
#include "protocol/wire_fault.h"

#include <stdbool.h>

enum cgi_response_event {
    CGI_RESPONSE_MORE,   /* all input is used up */
    CGI_RESPONSE_HEADER, /* a piece of the header, the empty line at its end included; never empty */
    CGI_RESPONSE_BODY,   /* a piece of the body, never empty */
    CGI_RESPONSE_FAULT,  /* response->fault says why; every later call says the same */
};

enum cgi_response_part {
    CGI_RESPONSE_PART_START, /* of a line */
    CGI_RESPONSE_PART_BORDER,
    CGI_RESPONSE_PART_NAME,
    CGI_RESPONSE_PART_VALUE,
    CGI_RESPONSE_PART_BODY,
};

struct cgi_response {
    /* 100 to 999: Status, else 302 with Location, else 200 (RFC 3875 6.3.3, 6.2.4). Known when the header is
     * complete. */
    unsigned status;
    enum wire_fault fault;

    /* private */
    enum cgi_response_part part;
    char name[8]; /* in small letters; as long as "location" */
    size_t name_length;
    bool is_status;
    bool status_seen;
    bool code_complete;
    unsigned code;
    unsigned code_digits;
};

void cgi_response_init(struct cgi_response *response);

/* The next event. What was used is taken off the front of `input`; call again until CGI_RESPONSE_MORE.
 * With CGI_RESPONSE_HEADER and CGI_RESPONSE_BODY, `ret_piece` is a part of what `input` was.
 * Of several Status lines the last counts. Faults: CGI_LINE, CGI_STATUS. */
enum cgi_response_event cgi_response_next(struct cgi_response *response, struct bytes *input,
                                          struct bytes *ret_piece);

/* True when the header is complete; a response that ends before is no response. */
bool cgi_response_complete(const struct cgi_response *response);

#endif
