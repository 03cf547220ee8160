/*
 * Going to the background: the command forks, its child becomes the master in a session of its own, and the
 * command returns when the pool is ready, or with the reason why it is not. The two are tied by a pipe and by
 * being parent and child; a command that is killed does the master no harm.
 */
#ifndef FCGIPOOL_DAEMON_DETACH_H
#define FCGIPOOL_DAEMON_DETACH_H

#include <stdbool.h>

struct detach {
    int fd; /* the master's end of the pipe; -1: nobody waits for word */
};

#define DETACH_INIT                                                                                          \
    {                                                                                                        \
        .fd = -1                                                                                             \
    }

/* Forks. Returns true in the child, which has no terminal, no descriptor but 0 to 2, the pipe and `*kept_fd`
 * (-1: nothing; it has another number then, and is close-on-exec), and must read the signals INT, TERM, HUP
 * and QUIT (blocked) or unblock them. Returns false in the parent, when all is over, with the code to exit
 * with: 0 the pool is ready; otherwise the child has ended, and why is on standard error. The parent asks the
 * child to stop (SIGTERM) when it is told to stop itself. */
bool detach_fork(struct detach *ret_detach, int *kept_fd, int *ret_code);

/* True in a detached master while the pool was not yet ready. */
bool detach_waits(const struct detach *detach);

/* The pool is ready: standard input, output and error become /dev/null, and the parent returns. */
void detach_ready(struct detach *detach);

#endif
