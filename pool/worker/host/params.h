/* The parameters of a request as "NAME=value", built while they come. A null byte, and "=" in a name, would
 * make another parameter of it: they become "?". */
#ifndef FCGIPOOL_POOL_WORKER_HOST_PARAMS_H
#define FCGIPOOL_POOL_WORKER_HOST_PARAMS_H

#include "pool/worker/host/buffer.h"
#include "protocol/scgi.h"

#include <stdbool.h>

struct params {
    char **list; /* owned; NULL at its end; after params_end */

    /* private */
    struct buffer text;
    size_t count;
    bool in_value;
};

void params_fini(struct params *params);

/* A piece of a name; a piece of its value; the end of both. */
void params_name(struct params *params, struct bytes piece);
void params_value(struct params *params, struct bytes piece);
void params_pair_end(struct params *params);

/* All are there. */
void params_end(struct params *params);

/* Takes what a decoder of SCGI has said, and returns it. */
enum scgi_event params_scgi(struct params *params, enum scgi_event event, struct bytes piece);

/* In any such list: the value of the last of this name; NULL: there is none. */
const char *params_find(char *const *list, const char *name);

#endif
