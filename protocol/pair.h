/*
 * A name and its value, as both protocols carry the variables of a request.
 */
#ifndef FCGIPOOL_PROTOCOL_PAIR_H
#define FCGIPOOL_PROTOCOL_PAIR_H

#include "protocol/bytes.h"

/* Borrowed. What may be empty, and how long, is the matter of each protocol. */
struct pair {
    struct bytes name;
    struct bytes value;
};

#endif
