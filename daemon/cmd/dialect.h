/*
 * The protocols that `fcgipool request` speaks, behind one face: what to send, what is in the answer, and
 * what is wrong with it.
 */
#ifndef FCGIPOOL_DAEMON_CMD_DIALECT_H
#define FCGIPOOL_DAEMON_CMD_DIALECT_H

#include "protocol/fcgi_client.h"
#include "protocol/scgi_client.h"

enum dialect_event {
    DIALECT_MORE,   /* all input is used up */
    DIALECT_ANSWER, /* a piece of the CGI response, never empty */
    DIALECT_ERROR,  /* a piece of what the worker complains of, never empty */
    DIALECT_END,    /* the answer is complete, or nothing good can come any more */
};

union dialect_client {
    struct fcgi_client fcgi;
    struct scgi_client scgi;
};

struct dialect {
    /* Starts a request. The parameters stay borrowed until it is sent. Returns NONE, or why it cannot be
     * sent. */
    enum wire_fault (*start)(union dialect_client *client, const struct pair *params, size_t count);

    /* Writes the next bytes to send, at most `size`, and returns how many; 0 when all is sent. `body` is what
     * is left of a body that is known as a whole. */
    size_t (*send)(union dialect_client *client, struct bytes *body, uint8_t *ret_bytes, size_t size);

    /* The next event in the received bytes; what was used is taken off the front of `input`. */
    enum dialect_event (*receive)(union dialect_client *client, struct bytes *input, struct bytes *ret_piece);

    /* After DIALECT_END or the end of the connection: true when something is wrong with the answer, with a
     * text for a person in `ret_text`. */
    bool (*complains)(const union dialect_client *client, char *ret_text, size_t size);
};

extern const struct dialect dialect_fastcgi;
extern const struct dialect dialect_scgi;

#endif
