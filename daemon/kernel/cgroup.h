/*
 * The memory limits of the control group that this process is in, and of those above it; cgroup v2 or v1.
 */
#ifndef FCGIPOOL_DAEMON_KERNEL_CGROUP_H
#define FCGIPOOL_DAEMON_KERNEL_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cgroup {
    bool first;            /* version 1 */
    size_t top;            /* length of the mount point */
    char folder[PATH_MAX]; /* "": none was found */
};

/* Finds the group of this process, as it is now. */
void cgroup_find(struct cgroup *ret_cgroup);

/* Bytes used, without what the kernel can drop at once, and allowed (memory.high or memory.max), of the group
 * with the least room left. Returns 0, or -ENOENT: there is no limit. */
__attribute__((warn_unused_result)) int cgroup_memory(const struct cgroup *cgroup, uint64_t *ret_used,
                                                      uint64_t *ret_limit);

#endif
