/* Bodies; see body.h. */
#include "pool/worker/host/body.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void body_fini(struct body *body)
{
    buffer_fini(&body->memory);
    if (body->fd >= 0)
        (void)close(body->fd);
    *body = BODY_INIT;
}

static int open_file(void)
{
    const char *directory = getenv("TMPDIR");
    char path[4096];
    if (!directory || !*directory)
        directory = "/tmp";
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
        return fd;
    if (snprintf(path, sizeof path, "%s/fcgipool-XXXXXX", directory) >= (int)sizeof path)
        return errno = ENAMETOOLONG, -1;
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        (void)unlink(path);
    return fd;
}

/* At the end of the file, where reading by body->offset does not move. */
static int write_all(int fd, struct bytes bytes)
{
    while (bytes.length > 0) {
        ssize_t done = write(fd, bytes.data, bytes.length);
        if (done < 0 && errno != EINTR)
            return -errno;
        if (done > 0)
            (void)bytes_take(&bytes, (size_t)done);
    }
    return 0;
}

/* What is in memory goes first. */
static int begin_file(struct body *body)
{
    body->fd = open_file();
    if (body->fd < 0)
        return -errno;
    int result = write_all(body->fd, buffer_rest(&body->memory));
    buffer_fini(&body->memory);
    return result;
}

int body_add(struct body *body, struct bytes piece)
{
    int result = 0;
    if (!body->streams && body->fd < 0 && piece.length > BODY_IN_MEMORY - body->unread)
        result = begin_file(body);
    if (result == 0 && body->fd >= 0)
        result = write_all(body->fd, piece);
    else if (result == 0)
        buffer_add(&body->memory, piece);
    body->unread += piece.length;
    return result;
}

static ssize_t read_file(struct body *body, void *ret_bytes, size_t size)
{
    ssize_t done = pread(body->fd, ret_bytes, size, body->offset);
    if (done <= 0)
        return done < 0 ? -errno : -EIO;
    body->offset += done;
    return done;
}

static ssize_t read_memory(struct body *body, void *ret_bytes, size_t size)
{
    struct bytes rest = buffer_rest(&body->memory), piece = bytes_take(&rest, size);
    bytes_copy((uint8_t *)ret_bytes, piece);
    buffer_drop(&body->memory, piece.length);
    return (ssize_t)piece.length;
}

ssize_t body_read(struct body *body, void *ret_bytes, size_t size)
{
    if (body->unread == 0 || size == 0)
        return body->complete || size == 0 ? 0 : -EAGAIN;
    ssize_t done = body->fd >= 0 ? read_file(body, ret_bytes, size) : read_memory(body, ret_bytes, size);
    body->unread -= done > 0 ? (uint64_t)done : 0;
    return done;
}
