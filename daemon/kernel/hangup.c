/* Ending a connection from outside; see hangup.h. */
#include "daemon/kernel/hangup.h"

#include "daemon/kernel/adopt.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <unistd.h>

static bool has_option(int fd, int option, int wanted)
{
    int value = 0;
    socklen_t size = sizeof value;
    return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 && value == wanted;
}

static bool came_in_at(int fd, const struct address *listener)
{
    struct address local = {.length = sizeof local.storage};
    return has_option(fd, SO_TYPE, SOCK_STREAM) && has_option(fd, SO_ACCEPTCONN, 0) &&
           getsockname(fd, (struct sockaddr *)&local.storage, &local.length) == 0 &&
           address_takes(listener, &local);
}

/* What the client has sent and the worker has not read: then it is the worker that is late. */
static bool has_unread(int fd)
{
    int size = 0;
    return ioctl(fd, FIONREAD, &size) == 0 && size > 0;
}

int hangup_connection(const struct address *listener, pid_t group, pid_t pid, int fd, hangup_still_fn *still,
                      void *context)
{
    if (pid <= 0 || group <= 0 || fd < 0)
        return -ESRCH;
    int got = adopt_descriptor(pid, group, fd);
    if (got < 0)
        return got;
    int result = -ENOENT;
    if (came_in_at(got, listener) && (still == NULL || still(context)))
        result = has_unread(got) ? -EBUSY : shutdown(got, SHUT_RDWR) == 0 || errno == ENOTCONN ? 0 : -errno;
    (void)close(got);
    return result;
}
