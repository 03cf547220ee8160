/* Memory of other processes; see remote.h. */
#include "daemon/kernel/remote.h"

#include "daemon/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void file_cleanup(FILE **file)
{
    if (*file)
        (void)fclose(*file);
}

static void text_cleanup(char **text)
{
    free(*text);
}

/* A line of maps, as proc(5) has them: "START-END rw-s OFFSET DEVICE INODE   /memfd:NAME (deleted)". */
static bool is_mapping(const char *line, const char *name, size_t size, uint64_t *ret_address)
{
    uint64_t start, end, offset;
    int path = 0;
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " rw-s %" SCNx64 " %*s %*s %n", &start, &end, &offset, &path) <
            3 ||
        path == 0 || offset != 0 || end - start != size)
        return false;
    static const char prefix[] = "/memfd:";
    const char *found = line + path;
    if (strncmp(found, prefix, strlen(prefix)) != 0 ||
        strncmp(found + strlen(prefix), name, strlen(name)) != 0 ||
        strcmp(found + strlen(prefix) + strlen(name), " (deleted)\n") != 0)
        return false;
    *ret_address = start;
    return true;
}

int remote_find(pid_t pid, const char *name, size_t size, uint64_t *ret_address)
{
    char path[40];
    (void)snprintf(path, sizeof path, "/proc/%ld/maps", (long)pid);
    __attribute__((cleanup(file_cleanup))) FILE *maps = fopen(path, "re");
    if (!maps)
        return errno == ENOENT ? -ESRCH : -errno;
    __attribute__((cleanup(text_cleanup))) char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, maps) > 0)
        if (is_mapping(line, name, size, ret_address))
            return 0;
    return ferror(maps) ? -errno : -ENOENT;
}

/* Nothing is copied from or to memory that nobody has any more. */
static int whole(ssize_t done, size_t size)
{
    if (done < 0)
        return -errno;
    return (size_t)done == size ? 0 : done == 0 ? -ESRCH : -EIO;
}

int remote_open(pid_t pid)
{
    char path[40];
    (void)snprintf(path, sizeof path, "/proc/%ld/mem", (long)pid);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? -ESRCH : -errno;
    return fd;
}

int remote_read(int fd, uint64_t address, void *ret_memory, size_t size)
{
    return whole(pread(fd, ret_memory, size, (off_t)address), size);
}

int remote_write(int fd, uint64_t address, const void *memory, size_t size)
{
    return whole(pwrite(fd, memory, size, (off_t)address), size);
}
