/*
 * Who a process runs as, and what we ourselves may do about it.
 */
#ifndef FCGIPOOL_DAEMON_KERNEL_CREDENTIALS_H
#define FCGIPOOL_DAEMON_KERNEL_CREDENTIALS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct credentials {
    uid_t uid;
    gid_t gid;
    gid_t *groups; /* all supplementary ones; whose they are, the holder says */
    size_t group_count;
};

/* True when we have this capability (CAP_SETUID, ... of linux/capability.h) in effect. */
bool credentials_capable(int capability);

#endif
