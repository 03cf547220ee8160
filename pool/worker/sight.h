/*
 * Sight: recognizes the requests of one FastCGI or SCGI connection in the bytes that a worker reads and
 * writes, as they pass by, in whatever pieces. No allocation, no system call, of libc mem* at most.
 *
 * It is a second decoder beside protocol/ because it has another task: it runs inside the workers at every
 * read and write, so it takes whole pairs where they lie, looks no further than it must, and copies nothing
 * but what is asked for. And it gives no verdict: what the worker makes of a faulty stream is the worker's
 * affair, here it only must not lead to a wrong state.
 *
 * Nothing that is read is looked at behind the header of a request that does not ask to keep the connection,
 * and nothing that is written behind its end.
 *
 * The first byte tells the protocol: 1 FastCGI, a digit SCGI. Anything else, and a stream that breaks later
 * (a record of another version, a BEGIN_REQUEST of a wrong size, a netstring that is none or whose length has
 * more than 7 digits), is unknown: one request without method and URI, up to the end of the connection.
 */
#ifndef FCGIPOOL_POOL_WORKER_SIGHT_H
#define FCGIPOOL_POOL_WORKER_SIGHT_H

#include "pool/page.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sight_event {
    SIGHT_BEGUN = 1, /* the header of a request is complete: FastCGI, the empty PARAMS record; SCGI, the whole
                        netstring; unknown, the first bytes, or the break when no request was in hand */
    SIGHT_ENDED = 2, /* the END_REQUEST of the last request in hand is written, all of it. Also for a request
                        that was answered before its header was complete: then without SIGHT_BEGUN */
};

/* A FastCGI record in pieces; private. */
struct sight_record {
    uint32_t left; /* of content and padding */
    uint16_t id;
    uint8_t padding;
    uint8_t type;
    uint8_t take;     /* what to do with the content */
    uint8_t gathered; /* bytes of `header` */
    uint8_t header[8];
};

/* Lives wherever the caller likes, to be copied or dropped at will. */
struct sight {
    /* private; zero at first, down to `lengths` */
    uint8_t protocol;
    bool keeps;        /* FCGI_KEEP_CONN of the last BEGIN_REQUEST */
    bool begun;        /* SIGHT_BEGUN was told, SIGHT_ENDED was not */
    bool in_header;    /* FastCGI: the PARAMS of request `id` are not complete */
    bool lost;         /* what is written, or read, is no FastCGI */
    bool method_known; /* to the end of its value */
    uint8_t uri_known; /* likewise: which name it is from */
    uint8_t part;      /* of a pair, or of the netstring */
    uint8_t target;    /* of the value at hand */
    uint8_t filled;    /* bytes of it that are copied */
    uint8_t gathered;  /* bytes of `lengths` */
    uint16_t id;
    uint32_t name_length; /* FastCGI: of the whole name; SCGI: as far as it passed by */
    uint32_t left;        /* FastCGI: of the name or value at hand; SCGI: of the block */
    uint32_t value_length;
    uint64_t open; /* requests in hand: bits of their ids, modulo 64 */
    struct sight_record in;
    struct sight_record out;
    uint8_t lengths[8];
    char name[14]; /* as long as "REQUEST_METHOD" */

    /* Valid when SIGHT_BEGUN was returned, until the next sight_read. Cut, NUL-terminated unless full, any
     * bytes. uri is REQUEST_URI, or SCRIPT_NAME, or DOCUMENT_URI; of several equal names the first that is
     * not empty counts. */
    char method[PAGE_METHOD];
    char uri[PAGE_URI];
};

/* Stands before the first byte of a connection. */
void sight_init(struct sight *sight);

/* `size` bytes were read from the connection; 0 is allowed. Returns bits of enum sight_event: SIGHT_BEGUN
 * when that happened within these bytes, once for any number of requests. */
unsigned sight_read(struct sight *sight, const void *bytes, size_t size);

/* Some were read that nobody has seen: from here on the stream is unknown, unless nothing more of it was
 * looked at anyway. Returns as sight_read. */
unsigned sight_missed(struct sight *sight);

/* `size` bytes were written to the connection; 0 is allowed. Returns SIGHT_ENDED when that happened within
 * these bytes, else 0. Does nothing unless the connection is FastCGI's. */
unsigned sight_wrote(struct sight *sight, const void *bytes, size_t size);

/* True when the request in hand, or the one that ended last, asked to keep the connection. */
bool sight_keeps(const struct sight *sight);

/* True when FastCGI was read, and no request of it is in hand: what is written answers a management record.
 */
bool sight_manages(const struct sight *sight);

/* True when a kept connection is between two requests: none is in hand, and of the next one no byte was read.
 * What was left to be read of the last one (its empty STDIN record, with many a program) changes nothing. */
bool sight_rests(const struct sight *sight);

#endif
