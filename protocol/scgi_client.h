/*
 * The web server's side of one SCGI request: the header block, then the body. No I/O: the caller carries the
 * bytes. What comes back needs no decoder here: all of it, up to the end of the connection, is a CGI response
 * (cgi_response.h), which may begin before the whole body is sent.
 */
#ifndef FCGIPOOL_PROTOCOL_SCGI_CLIENT_H
#define FCGIPOOL_PROTOCOL_SCGI_CLIENT_H

#include "protocol/scgi.h"

struct scgi_client {
    /* private */
    struct scgi_encoder header;
    uint64_t body_left;
};

/* A request with `count` parameters, which stay borrowed until scgi_client_sent. Returns what
 * scgi_encoder_init says of them. */
__attribute__((warn_unused_result)) enum wire_fault scgi_client_init(struct scgi_client *client,
                                                                     const struct pair *params, size_t count);

/* Writes the next bytes to send, as many as there are and fit; any `size` will do. `body` is what is known of
 * the request body beyond what earlier calls took; what is taken now comes off its front, and never more than
 * CONTENT_LENGTH in all. Returns how many bytes were written; 0 (with `size` > 0): nothing to send before
 * more of the body is there, or ever (scgi_client_sent). */
size_t scgi_client_send(struct scgi_client *client, struct bytes *body, uint8_t *ret_bytes, size_t size);

/* True when scgi_client_send has written the whole request. */
bool scgi_client_sent(const struct scgi_client *client);

#endif
