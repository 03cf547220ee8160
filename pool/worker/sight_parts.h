/*
 * What the files of sight share: sight.c tells which protocol it is, sight_fcgi.c and sight_scgi.c take the
 * stream apart, sight_pairs.c the parameters of FastCGI. Private to them; what runs at every pair of every
 * request is inline.
 */
#ifndef FCGIPOOL_POOL_WORKER_SIGHT_PARTS_H
#define FCGIPOOL_POOL_WORKER_SIGHT_PARTS_H

#include "pool/worker/copy.h"
#include "pool/worker/sight.h"

#include <string.h>

enum { PROTOCOL_NONE, PROTOCOL_FCGI, PROTOCOL_SCGI, PROTOCOL_DONE };

/* Takes `size` bytes of the stream, as sight_read. */
unsigned sight_fcgi_read(struct sight *sight, const uint8_t *at, size_t size);
unsigned sight_scgi_read(struct sight *sight, const uint8_t *at, size_t size);

/* Takes a piece of the pairs of PARAMS. */
void sight_pairs_take(struct sight *sight, const uint8_t *at, const uint8_t *end);

/* Where a value goes. The names of a URI in the order of their worth. */
enum { TARGET_NONE, TARGET_DOCUMENT_URI, TARGET_SCRIPT_NAME, TARGET_REQUEST_URI, TARGET_METHOD };

enum { PART_LENGTH, PART_NAME, PART_VALUE, PART_COMMA };

static inline size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* A new header begins, or none. */
static inline void forget_request(struct sight *sight)
{
    sight->method[0] = '\0';
    sight->uri[0] = '\0';
    sight->method_known = false;
    sight->uri_known = TARGET_NONE;
    sight->part = PART_LENGTH;
    sight->gathered = 0;
}

/* Nothing more is wanted of the header at hand. */
static inline bool all_known(const struct sight *sight)
{
    return sight->method_known && sight->uri_known == TARGET_REQUEST_URI;
}

/* What is told when a request is in hand. */
static inline unsigned begun(struct sight *sight)
{
    sight->begun = true;
    return SIGHT_BEGUN;
}

/* From here on the stream is unknown. */
static inline unsigned give_up(struct sight *sight)
{
    sight->protocol = PROTOCOL_DONE;
    sight->keeps = false;
    sight->lost = true;
    if (sight->begun)
        return 0;
    forget_request(sight);
    return begun(sight);
}

/* By its length alone. */
static inline bool may_be_ours(size_t name_length)
{
    return name_length - 11 <= 14 - 11;
}

/* Where the value of this name is to go. */
static inline unsigned choose_target(const struct sight *sight, const void *name, size_t length)
{
    if (length == 11) {
        if (sight->uri_known < TARGET_REQUEST_URI && memcmp(name, "REQUEST_URI", 11) == 0)
            return TARGET_REQUEST_URI;
        if (sight->uri_known < TARGET_SCRIPT_NAME && memcmp(name, "SCRIPT_NAME", 11) == 0)
            return TARGET_SCRIPT_NAME;
    } else if (length == 12) {
        if (sight->uri_known < TARGET_DOCUMENT_URI && memcmp(name, "DOCUMENT_URI", 12) == 0)
            return TARGET_DOCUMENT_URI;
    } else if (length == 14) {
        if (!sight->method_known && memcmp(name, "REQUEST_METHOD", 14) == 0)
            return TARGET_METHOD;
    }
    return TARGET_NONE;
}

/* Adds to the `filled` bytes of a text what fits, and returns how many there are then. */
static inline size_t add_text(char *text, size_t size, size_t filled, const uint8_t *at, size_t length)
{
    length = smaller(length, size - filled);
    copy_bytes(text + filled, at, length);
    filled += length;
    if (filled < size)
        text[filled] = '\0';
    return filled;
}

/* A whole value. An empty one is as good as none. */
static inline void take_value(struct sight *sight, unsigned target, const uint8_t *at, size_t length)
{
    if (length == 0)
        return;
    if (target == TARGET_METHOD) {
        add_text(sight->method, sizeof sight->method, 0, at, length);
        sight->method_known = true;
    } else {
        add_text(sight->uri, sizeof sight->uri, 0, at, length);
        sight->uri_known = (uint8_t)target;
    }
}

/* A value in pieces. */
static inline void begin_value(struct sight *sight, unsigned target)
{
    sight->target = (uint8_t)target;
    sight->filled = 0;
}

static inline void add_value(struct sight *sight, const uint8_t *at, size_t length)
{
    size_t filled = sight->filled;

    if (sight->target == TARGET_NONE || length == 0)
        return;
    if (sight->target == TARGET_METHOD)
        filled = add_text(sight->method, sizeof sight->method, filled, at, length);
    else
        filled = add_text(sight->uri, sizeof sight->uri, filled, at, length);
    sight->filled = (uint8_t)filled;
}

static inline void end_value(struct sight *sight)
{
    if (sight->filled == 0)
        return;
    if (sight->target == TARGET_METHOD)
        sight->method_known = true;
    else
        sight->uri_known = sight->target;
}

/* The piece behind what `before` bytes of the name are; of names that are too long to be ours only the length
 * counts. */
static inline void add_name(struct sight *sight, size_t before, const uint8_t *at, size_t length)
{
    if (before < sizeof sight->name)
        copy_bytes(sight->name + before, at, smaller(length, sizeof sight->name - before));
}

#endif
