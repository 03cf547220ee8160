/* The pidfile; see pidfile.h. */
#include "daemon/base/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int pidfile_write(const char *path, struct problem *problem)
{
    char temporary[PATH_MAX];
    int length = snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
    if (length >= (int)sizeof temporary)
        return problem_set(problem, -ENAMETOOLONG, "pidfile %s: path is too long", path);
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return problem_set(problem, -errno, "pidfile %s: %s", path, strerror(errno));
    int failure = 0;
    if (fchmod(fd, 0644) || dprintf(fd, "%ld\n", (long)getpid()) < 0 || rename(temporary, path))
        failure = -errno;
    close(fd);
    if (failure) {
        unlink(temporary);
        return problem_set(problem, failure, "pidfile %s: %s", path, strerror(-failure));
    }
    return 0;
}

int pidfile_move(const char *from, const char *path, struct problem *problem)
{
    return rename(from, path) ? problem_set(problem, -errno, "pidfile %s: %s", path, strerror(errno)) : 0;
}

void pidfile_remove(const char *path, pid_t pid)
{
    char text[32] = "";
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    if (length > 0 && strtol(text, NULL, 10) == pid)
        unlink(path);
}
