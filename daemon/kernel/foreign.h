/*
 * Listening sockets that somebody else has opened, keeps, and left open to us: systemd, a supervisor, whoever
 * starts the next master. They are foreign to us: their paths are neither taken away, locked nor changed, and
 * they never refuse; what waits in them when we go is for who comes next.
 */
#ifndef FCGIPOOL_DAEMON_KERNEL_FOREIGN_H
#define FCGIPOOL_DAEMON_KERNEL_FOREIGN_H

#include "daemon/base/problem.h"
#include "daemon/kernel/listener.h"

/* Learns what socket `fd` is, which belongs to `ret_listener` then (of standard input a duplicate does),
 * close-on-exec and, as workers need it, blocking for all who share it. Returns 0, or -errno with the reason
 * in `problem`: -EBADF (not open), -ENOTSOCK, -EPROTOTYPE (neither unix nor TCP, or no stream socket),
 * -EINVAL (it does not listen). */
__attribute__((warn_unused_result)) int foreign_listener(int fd, struct listener *ret_listener,
                                                         struct problem *problem);

#endif
