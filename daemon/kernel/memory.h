/*
 * How much memory the processes of a process group take, as the kernel counts it: what a worker and its
 * children are worth together.
 */
#ifndef FCGIPOOL_DAEMON_KERNEL_MEMORY_H
#define FCGIPOOL_DAEMON_KERNEL_MEMORY_H

#include "daemon/kernel/proc.h"

#include <stdint.h>
#include <sys/types.h>

/* Resident memory in bytes; pages that several of them share count in each. Cheap: some microseconds a
 * process. Returns 0, -ESRCH (no member is left) or -EACCES (/proc does not let us look). */
__attribute__((warn_unused_result)) int memory_resident(const struct proc_table *table, pid_t group,
                                                        uint64_t *ret_bytes);

/* Proportional memory in bytes: of a page that n processes share, a part of 1/n. Dear: the kernel walks all
 * pages (a millisecond or two for 100 MB), with the process's memory map locked meanwhile. Returns as the
 * other does; -EACCES also where we could not trace the process (another user's), -ENOSYS where the kernel
 * has no smaps_rollup. */
__attribute__((warn_unused_result)) int memory_proportional(const struct proc_table *table, pid_t group,
                                                            uint64_t *ret_bytes);

#endif
