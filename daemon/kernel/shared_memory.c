/* Memory shared by a descriptor; see shared_memory.h. */
#include "daemon/kernel/shared_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

/* A script that opens descriptors by number takes one digit, or 200. */
#define LOWEST_FD 64

/* Sets up a fresh memfd. Returns 0 or -errno. */
static int prepare(int fd, size_t size, void **ret_memory)
{
    if (ftruncate(fd, (off_t)size) != 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        return -errno;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        return -errno;
    *ret_memory = memory;
    return 0;
}

int shared_memory_new(const char *name, size_t size, void **ret_memory, int *ret_fd)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, LOWEST_FD);
    if (moved >= 0) {
        (void)close(fd);
        fd = moved;
    }
    int result = prepare(fd, size, ret_memory);
    if (result)
        (void)close(fd);
    else
        *ret_fd = fd;
    return result;
}

void shared_memory_free(void *memory, size_t size)
{
    if (memory)
        (void)munmap(memory, size);
}
