/*
 * Taking over from a process what it has open: the listening socket and the output pipes of a former master,
 * which the workers that outlived it still hold. The kernel lets those do it who might trace that process; it
 * may say no (Yama, a seccomp filter), so everybody must be able to do without.
 */
#ifndef FCGIPOOL_DAEMON_KERNEL_ADOPT_H
#define FCGIPOOL_DAEMON_KERNEL_ADOPT_H

#include "daemon/kernel/listener.h"

#include <sys/types.h>

/* A duplicate (close-on-exec) of descriptor `fd` of `pid`, whatever it is, if the process is a member of
 * process group `group` (0: of any). Returns the descriptor, or -errno (-EPERM: the kernel does not let us,
 * -ENOSYS: it cannot, -ESRCH: no such process there, -EBADF: no such descriptor). */
__attribute__((warn_unused_result)) int adopt_descriptor(pid_t pid, pid_t group, int fd);

/* The same of descriptor `fd` of `pid`, if it is the listening socket with this cookie:
 * what a process shows us is worth nothing else. Returns the descriptor, or -errno (-EPERM: the kernel does
 * not let us, -ENOSYS: it cannot, -ENOENT: another socket). */
__attribute__((warn_unused_result)) int adopt_listener(pid_t pid, int fd, uint64_t cookie);

/* The same of whatever socket it is, if it was made to listen by a process of our user that lives no
 * more; with its cookie. */
__attribute__((warn_unused_result)) int adopt_listener_of_ours(pid_t pid, int fd, uint64_t *ret_cookie);

/* A reading end (non-blocking, close-on-exec, a description of our own) of the pipe that is descriptor `fd`
 * of the process that was started at `start` (proc_start), and is open for both there, as nobody's pipe is
 * but ours. Returns the descriptor, or -errno (-ENOENT: not such a pipe, or another process). */
__attribute__((warn_unused_result)) int adopt_pipe(pid_t pid, uint64_t start, int fd);

/* Whether the socket listens at the address; port 0 is any. */
bool adopt_fits(int fd, const struct address *wanted);

/* If what `options->former` has is a socket of ours that listens as the options want it (address, and of a
 * path mode and owner), `listener` becomes a duplicate, blocking and without a filter, and the answer is
 * true. */
bool adopt_duplicate(const struct listener_options *options, struct listener *listener);

#endif
