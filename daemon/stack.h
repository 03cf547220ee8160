/*
 * Native stacks of a worker's threads, by eu-stack (elfutils) as a child of ours: its output comes through a
 * pipe that the loop reads, and it is killed when it takes too long. One at a time. The worker is stopped for
 * as long as eu-stack looks, some milliseconds mostly.
 */
#ifndef FCGIPOOL_DAEMON_STACK_H
#define FCGIPOOL_DAEMON_STACK_H

#include "daemon/kernel/credentials.h"

#include <ev.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define STACK_LIMIT_MS 2000
#define STACK_TEXT_MAX 65536 /* bytes; what goes beyond is left out */

enum stack_result {
    STACK_TAKEN,
    STACK_LATE,      /* eu-stack was killed; the text is what came until then */
    STACK_FORBIDDEN, /* the kernel does not let it look; the text says so */
};

/* Called from the loop, once a taking. `text` has `length` bytes without a NUL behind, good during the call;
 * it holds anything, for symbols are the worker's. */
typedef void stack_done_fn(enum stack_result result, const char *text, size_t length, void *context);

struct stack {
    struct ev_loop *loop;                  /* borrowed */
    const struct credentials *credentials; /* borrowed */
    char program[PATH_MAX];                /* "": there is none */
    stack_done_fn *done;
    void *context;
    ev_io reader;
    ev_timer limit;
    int child;   /* pidfd of eu-stack; -1: nothing is being taken */
    int subject; /* pidfd of whom it looks at */
    char *text;  /* owned */
    size_t length;
};

/* Looks eu-stack up in PATH. It will run with `credentials` (NULL: ours), best those of the workers: what it
 * reads is theirs, and a root need not. `stack` must stay where it is until stack_fini. */
void stack_init(struct stack *stack, struct ev_loop *loop, const struct credentials *credentials,
                stack_done_fn *done, void *context);

/* Whether there is an eu-stack. */
bool stack_can(const struct stack *stack);

/* Begins to take the stacks of `pid`, whose process must not be being retired by stop-inspect-kill: the two
 * would get in each other's way. Returns 0, and `done` is called within STACK_LIMIT_MS; or -ENOENT (no
 * eu-stack), -EBUSY (one is being taken), -ESRCH (no such process) or another -errno. */
__attribute__((warn_unused_result)) int stack_take(struct stack *stack, pid_t pid);

/* Ends what is being taken, without a call of `done`. */
void stack_fini(struct stack *stack);

#endif
