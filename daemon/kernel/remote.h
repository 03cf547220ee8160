/*
 * Memory that another process shares under a name, where we hold no descriptor of it: found in its maps, read
 * and written there. As with adopt.h, the kernel lets those do it who might trace that process.
 */
#ifndef FCGIPOOL_DAEMON_KERNEL_REMOTE_H
#define FCGIPOOL_DAEMON_KERNEL_REMOTE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The address in process `pid` of the whole of a memfd that was created as `name` with `size` bytes, a
 * multiple of the system's page size, and is mapped there shared and writable; the lowest, when there are
 * several. Returns 0 or -errno (-ENOENT: there is none, -ESRCH: no such process, -EACCES: the kernel does not
 * let us). */
__attribute__((warn_unused_result)) int remote_find(pid_t pid, const char *name, size_t size,
                                                    uint64_t *ret_address);

/* The memory of a process, as long as it runs this program: what takes its pid later is not meant. Returns a
 * descriptor (close-on-exec), or -errno (-ESRCH, -EACCES). */
__attribute__((warn_unused_result)) int remote_open(pid_t pid);

/* Copies `size` bytes from there, or to there; the other process may see, and change, one byte before
 * another. Returns 0 or -errno (-ESRCH: it has ended, or runs another program, -EIO: not all of it is
 * mapped). */
__attribute__((warn_unused_result)) int remote_read(int fd, uint64_t address, void *ret_memory, size_t size);
__attribute__((warn_unused_result)) int remote_write(int fd, uint64_t address, const void *memory,
                                                     size_t size);

#endif
