/* One destination of lines; see sink.h. */
#include "daemon/base/sink.h"

#include "daemon/base/brief_write.h"
#include "daemon/base/clock.h"
#include "daemon/base/memory.h"
#include "pool/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* After a write that took its time: the rest of it is the loop's. */
#define REST_MS (20 * BRIEF_WRITE_MS)

/* ---- writing ---- */

static ssize_t write_shared(struct sink *sink, const char *text, size_t length)
{
    if (clock_now_ms() < sink->rest_until_ms) {
        errno = EAGAIN;
        return -1;
    }
    ssize_t written = brief_write(sink->fd, text, length);
    if (written >= 0 ? (size_t)written == length : errno != EINTR)
        return written;
    sink->rest_until_ms = clock_now_ms() + REST_MS;
    errno = EAGAIN;
    return written;
}

static ssize_t write_some(struct sink *sink, const char *text, size_t length)
{
    if (sink->way == SINK_SEND)
        return send(sink->fd, text, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sink->way == SINK_SHARED)
        return write_shared(sink, text, length);
    return write(sink->fd, text, length);
}

/* As many whole lines as may be written at one time, or a part of one that is longer. */
static size_t next_length(const struct sink *sink, const char *text, size_t length)
{
    if (length <= sink->write_max)
        return length;
    const char *last = memrchr(text, '\n', sink->write_max);
    return last ? (size_t)(last - text) + 1 : sink->write_max;
}

/* Returns how much was taken; sets `error`. */
static size_t write_all(struct sink *sink)
{
    size_t done = 0;
    sink->error = 0;
    while (done < sink->length) {
        const char *text = sink->buffer + done;
        ssize_t written = write_some(sink, text, next_length(sink, text, sink->length - done));
        if (written <= 0) {
            sink->error = written < 0 ? errno : ENOSPC;
            break;
        }
        done += (size_t)written;
    }
    return done;
}

static unsigned long count_lines(const char *text, size_t length)
{
    unsigned long count = 0;
    const char *end = text + length;
    while ((text = memchr(text, '\n', (size_t)(end - text)))) {
        count++;
        text++;
    }
    return count;
}

void sink_flush(struct sink *sink)
{
    if (!sink->length)
        return;
    size_t done = write_all(sink), left = sink->length - done;
    const char *rest = sink->buffer + done;
    if (done)
        sink->begun = left && rest[-1] != '\n';
    size_t kept = sink->begun ? (size_t)((const char *)memchr(rest, '\n', left) - rest) + 1 : 0;
    sink->dropped += count_lines(rest + kept, left - kept);
    memmove(sink->buffer, rest, kept);
    sink->length = kept;
}

void sink_put(struct sink *sink, const char *text, size_t length)
{
    ASSERT(length < sizeof sink->buffer);
    if (length >= sizeof sink->buffer - sink->length)
        sink_flush(sink);
    if (length >= sizeof sink->buffer - sink->length) {
        sink->dropped++;
        return;
    }
    memcpy(sink->buffer + sink->length, text, length);
    sink->buffer[sink->length + length] = '\n';
    sink->length += length + 1;
}

/* ---- opening ---- */

/* Standard error: where that is possible as a description of our own, so that O_NONBLOCK does not reach
 * whoever shares the old one. */
static int open_stderr(enum sink_way *ret_way)
{
    struct stat st = {.st_mode = 0};
    int fd = -1;
    (void)fstat(STDERR_FILENO, &st);
    if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode))
        fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    *ret_way = fd >= 0 || S_ISREG(st.st_mode) ? SINK_WRITE : S_ISSOCK(st.st_mode) ? SINK_SEND : SINK_SHARED;
    return fd >= 0 ? fd : fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

static bool is_same_file(int a, int b)
{
    struct stat one, other;
    return fstat(a, &one) == 0 && fstat(b, &other) == 0 && one.st_dev == other.st_dev &&
           one.st_ino == other.st_ino;
}

/* The rest of a line goes where its begin is, or nowhere. `next_fd` may be none, -1. */
static void leave(struct sink *sink, int next_fd)
{
    sink->rest_until_ms = 0;
    sink_flush(sink);
    if (sink->begun && (next_fd < 0 || !is_same_file(sink->fd, next_fd))) {
        sink->dropped++;
        sink->begun = false;
        sink->length = 0;
    }
    if (sink->fd > STDERR_FILENO)
        close(sink->fd);
}

/* A second name of the file may be somebody's way to have us write to a file that he cannot write to. */
static int open_path(const char *path)
{
    const int flags = O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | O_CLOEXEC;
    struct stat found;
    int fd = open(path, flags, 0640);
    if (fd >= 0 && fstat(fd, &found) == 0 && S_ISREG(found.st_mode) && found.st_nlink > 1) {
        close(fd);
        errno = EMLINK;
        return -1;
    }
    return fd;
}

int sink_open(struct sink *sink, const char *path)
{
    enum sink_way way = SINK_WRITE;
    struct stat st;
    int fd = path ? open_path(path) : open_stderr(&way);
    if (fd < 0)
        return -errno;
    leave(sink, fd);
    if (path != sink->path) {
        free(sink->path);
        sink->path = path ? memory_must(strdup(path)) : NULL;
    }
    sink->fd = fd;
    sink->way = way;
    sink->write_max =
        way == SINK_SHARED || (fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode)) ? PIPE_BUF : SSIZE_MAX;
    return 0;
}

int sink_reopen(struct sink *sink)
{
    return sink->path ? sink_open(sink, sink->path) : 0;
}

void sink_close(struct sink *sink)
{
    leave(sink, -1);
    free(sink->path);
    sink->path = NULL;
    sink->fd = -1;
}
