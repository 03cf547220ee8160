/*
 * One request of the echo contract as bytes, and the judgement on its answer. HTTP/1.0, FastCGI or SCGI.
 */
#ifndef TESTS_SYSTEM_WIRE_H
#define TESTS_SYSTEM_WIRE_H

#include <stdbool.h>
#include <stddef.h>

enum wire { WIRE_HTTP, WIRE_FASTCGI, WIRE_SCGI };

/* A request that may be sent any number of times, and the body that its answer must have. */
struct shot {
    char name[64];
    char *bytes; /* the request; owned */
    size_t size;
    char *expected; /* the body; owned */
    size_t expected_size;
    unsigned weight; /* how often it comes in a round of the mix */
};

/* What came back so far. */
struct reply {
    char *bytes; /* owned */
    size_t size, capacity;
    size_t scanned; /* FastCGI: start of the first record that is not complete */
    bool ended;     /* FastCGI: END_REQUEST has come */
};

/* What all requests of a mix have in common. */
struct shot_form {
    enum wire wire;
    bool keep;          /* FastCGI: the connection is asked to stay open */
    const char *prefix; /* goes before the URI */
    const char *script; /* FastCGI: SCRIPT_FILENAME */
};

/* Makes the request of "METHOD:SIZE[?QUERY][*WEIGHT]", as in "GET:65536", "POST:1?delay=5", "GET:0*3".
 * `salt` shifts the body of a POST, so that the bodies of a mix differ. Returns false when the text is none.
 */
bool shot_make(const char *text, const struct shot_form *form, size_t salt, struct shot *ret_shot);

void shot_fini(struct shot *shot);

/* Looks at what has been added to the reply; sets `ended`. Returns false when it cannot be FastCGI. */
bool reply_scan(struct reply *reply);

/* NULL when the whole reply is the right answer (and the X-Pid that it names), else what is wrong, a static
 * text. The bytes are rearranged. */
const char *reply_judge(struct reply *reply, enum wire wire, const struct shot *shot, int *ret_pid);

#endif
