/*
 * The echo contract over FastCGI without libfcgi, for one connection: bytes in, the pieces of an answer out.
 * It depends on nothing but our decoders, so that any C library and any way of waiting will do.
 */
#ifndef TESTS_SYSTEM_PLAIN_H
#define TESTS_SYSTEM_PLAIN_H

#include "contract.h"

#include "protocol/fcgi.h"
#include "protocol/fcgi_pairs.h"

struct plain {
    bool keep;   /* the client asks for further requests on this connection */
    bool broken; /* what came is no FastCGI */

    /* private */
    struct fcgi_parser parser;
    struct fcgi_pairs_decoder decoder;
    uint16_t id;
    uint8_t begin[FCGI_BODY_LENGTH];
    size_t begin_size;
    char name[64], value[1024]; /* of the pair at hand; longer ones are cut */
    size_t name_size, value_size;
    char method[16], query[1024];
    char *body;
    size_t body_size, body_room;
};

/* Before the first request of a connection. */
void plain_init(struct plain *plain);

void plain_fini(struct plain *plain);

/* Uses up `input`. Returns true when a whole request has come; what is left of `input` belongs to the next.
 */
bool plain_feed(struct plain *plain, struct bytes *input);

/* How long to wait before piece `number` (0 to CONTRACT_PIECES - 1) of the answer. */
long plain_wait_ms(const struct plain *plain, unsigned number);

/* That piece as bytes, to be freed. With the last one the next request may begin. */
char *plain_piece(struct plain *plain, unsigned number, size_t *ret_size);

#endif
