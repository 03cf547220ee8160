/*
 * Memory that is shared with a child by a descriptor that it inherits: a memfd whose size is sealed, so that
 * nobody can take the memory away from under who has it mapped.
 */
#ifndef FCGIPOOL_DAEMON_KERNEL_SHARED_MEMORY_H
#define FCGIPOOL_DAEMON_KERNEL_SHARED_MEMORY_H

#include <stddef.h>

/* Makes `size` bytes of zeros, mapped to read and write here. The descriptor (close-on-exec, out of the way
 * of the low numbers that shell scripts use) is the caller's; the memory lives until it is unmapped
 * (shared_memory_free). `name` is what /proc shows. Returns 0 or -errno. */
__attribute__((warn_unused_result)) int shared_memory_new(const char *name, size_t size, void **ret_memory,
                                                          int *ret_fd);

/* Accepts NULL. */
void shared_memory_free(void *memory, size_t size);

#endif
