/*
 * Starts one process: vfork or fork, then async-signal-safe calls only, then exec or _exit.
 * A failure in the child is reported as {step, errno} through a close-on-exec pipe.
 */
#ifndef FCGIPOOL_DAEMON_KERNEL_SPAWN_H
#define FCGIPOOL_DAEMON_KERNEL_SPAWN_H

#include "daemon/kernel/credentials.h"

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

struct spawn_limit {
    int resource; /* RLIMIT_... */
    struct rlimit value;
};

struct spawn_options {
    const char *path;  /* the program, already looked up in PATH */
    char *const *argv; /* borrowed, as are all pointers here */
    char *const *envp;
    const char *chdir; /* NULL: stay */
    mode_t umask;
    const struct rlimit *descriptors; /* RLIMIT_NOFILE; NULL: ours */
    const struct spawn_limit *limits; /* set after `descriptors` */
    size_t limit_count;
    const int *nice;                       /* NULL: ours */
    const cpu_set_t *processors;           /* NULL: ours */
    const struct credentials *credentials; /* who it becomes, for good; NULL: who we are */
    bool same_session;                     /* no session of its own, see spawn_process */
    int stdin_fd;                          /* becomes descriptor 0 (the listener) */
    int output_fd;                         /* becomes descriptors 1 and 2 */
    bool inherit_output;                   /* they stay ours instead; output_fd has no meaning */
    const int *kept_fds;                   /* stay open, under their numbers; above 2 */
    size_t kept_count;
    const char *preload;     /* a library that `envp` names; NULL: none */
    char *const *plain_envp; /* instead of `envp`, if the child, as who it becomes, cannot read `preload` */
};

/* The child becomes leader of its own session and process group, without a controlling terminal, with an
 * empty signal mask, default dispositions and no descriptors but 0, 1, 2 and those kept. With `credentials`
 * all of its user and group ids are set, and it has none of our capabilities (those of a root that it stays
 * or becomes excepted). It has exec'ed, or been killed, when this returns; one that could not is already
 * reaped. With `credentials` this takes two seconds at most: what hangs or was stopped before its exec is
 * killed. Returns 0 and the pid, or -errno with the step that failed: "pipe", "vfork", "fork", "group",
 * "stdin", "output", "keep", "setrlimit", "nice", "affinity", "setgroups", "setgid", "setuid",
 * "capabilities", "chdir", "exec", or "no exec in time" with -ETIMEDOUT (a static string).
 *
 * With `same_session` it leads a process group in our session, if we lead that and it has no terminal. Linux
 * gives each session the same share of the processors (sched_autogroup): so we and our workers count as one,
 * and do not take them from one another. But one that is stopped when we die gets SIGHUP from the kernel, so
 * this is not for those whom we stop. */
__attribute__((warn_unused_result)) int spawn_process(const struct spawn_options *options, pid_t *ret_pid,
                                                      const char **ret_step);

#endif
