/*
 * One request: connect, or use the connection that was kept, send, receive at the same time, judge.
 */
#ifndef TESTS_SYSTEM_EXCHANGE_H
#define TESTS_SYSTEM_EXCHANGE_H

#include "wire.h"

#include <stdatomic.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct target {
    struct sockaddr_storage address;
    socklen_t length;
    enum wire wire;
    bool keep;      /* FastCGI: more than one request a connection */
    int connect_ms; /* longest time to connect */
    int answer_ms;  /* longest time for the whole exchange after that */
};

enum outcome {
    OUTCOME_RIGHT,
    OUTCOME_REFUSED, /* never connected: nothing was promised */
    OUTCOME_LOST,    /* connected, and no right answer */
    OUTCOME_STALE,   /* the kept connection ended before a byte of the answer had come: to be sent again */
};

/* A client's working memory, kept from one exchange to the next; starts as {.fd = -1}. */
struct line {
    int fd;            /* the connection that was kept, or -1 */
    int64_t exchanges; /* on it */
    struct reply reply;
};

void line_close(struct line *line);

/* "unix:PATH", "unix:@NAME", "HOST:PORT", "[V6]:PORT", all numeric. */
bool target_parse(const char *text, struct target *ret_target);

/* How many are connected at this moment. */
extern atomic_int exchanges_open;

/* `ret_reason` is a static text when REFUSED or LOST. */
enum outcome exchange(const struct target *target, const struct shot *shot, struct line *line,
                      const char **ret_reason, int *ret_pid);

#endif
