/*
 * One request over one connection: connect, send, receive at the same time, judge.
 */
#ifndef TESTS_SYSTEM_EXCHANGE_H
#define TESTS_SYSTEM_EXCHANGE_H

#include "wire.h"

#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>

struct target {
    struct sockaddr_storage address;
    socklen_t length;
    enum wire wire;
    int connect_ms; /* longest time to connect */
    int answer_ms;  /* longest time for the whole exchange after that */
};

enum outcome {
    OUTCOME_RIGHT,
    OUTCOME_REFUSED, /* never connected: nothing was promised */
    OUTCOME_LOST,    /* connected, and no right answer */
};

/* "unix:PATH", "unix:@NAME", "HOST:PORT", "[V6]:PORT", all numeric. */
bool target_parse(const char *text, struct target *ret_target);

/* How many are connected at this moment. */
extern atomic_int exchanges_open;

/* `reply` is working memory, kept from one exchange to the next. `ret_reason` is a static text unless RIGHT.
 */
enum outcome exchange(const struct target *target, const struct shot *shot, struct reply *reply,
                      const char **ret_reason, int *ret_pid);

#endif
