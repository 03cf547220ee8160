/* Reading a control file; see conf_read.h. */
#include "daemon/conf/conf_read.h"

#include "daemon/base/fd.h"
#include "daemon/base/memory.h"
#include "daemon/base/unicode.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A FIFO without a writer would open at once with O_NONBLOCK, so the kind is looked at on the open file. */
static int check_kind(int fd, struct problem *problem)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return problem_set(problem, -errno, "cannot be looked at: %s", strerror(errno));
    if (S_ISDIR(status.st_mode))
        return problem_set(problem, -EISDIR, "is a directory, not a control file");
    if (!S_ISREG(status.st_mode))
        return problem_set(problem, -EINVAL, "is a %s, not a regular file",
                           S_ISFIFO(status.st_mode) ? "FIFO" : "device");
    return 0;
}

static int read_all(int fd, char *buffer, size_t size, size_t *ret_length)
{
    size_t length = 0;
    while (length < size) {
        ssize_t n = read(fd, buffer + length, size - length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        length += (size_t)n;
    }
    *ret_length = length;
    return 0;
}

static int check_text(const char *text, size_t length, struct problem *problem)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t line_start = 0;
    unsigned line = 1;
    int r = 0;

    if (strspn(text, " \t\r\n") == length)
        return problem_set(problem, -ENODATA, "is empty");
    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        return problem_set(problem, -EILSEQ, "starts with a byte order mark; save it as UTF-8 without one");
    for (size_t at = 0; at < length && r == 0;) {
        size_t step = unicode_length(text + at, length - at);
        if (step == 0 || bytes[at] == 0) {
            r = step ? problem_set(problem, -EILSEQ, "there is a NUL byte; a control file is text")
                     : problem_set(problem, -EILSEQ, "byte 0x%02x is not valid UTF-8", bytes[at]);
            problem->line = line;
            problem->column = (unsigned)(at - line_start) + 1;
        } else if (bytes[at] == '\n') {
            line++;
            line_start = at + 1;
        }
        at += step;
    }
    return r;
}

int conf_read(const char *file, char **ret_text, size_t *ret_length, struct problem *problem)
{
    int fd __attribute__((cleanup(fd_close))) = open(file, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 && errno == ENXIO)
        return problem_set(problem, -EINVAL, "is a socket or a device, not a regular file");
    if (fd < 0)
        return problem_set(problem, -errno, "cannot be opened: %s", strerror(errno));
    int r = check_kind(fd, problem);
    if (r < 0)
        return r;

    char *text __attribute__((cleanup(memory_free_text))) = memory_must(malloc(CONF_READ_MAX + 2));
    size_t length = 0;
    r = read_all(fd, text, CONF_READ_MAX + 1, &length);
    if (r < 0)
        return problem_set(problem, r, "cannot be read: %s", strerror(-r));
    if (length > CONF_READ_MAX)
        return problem_set(problem, -EFBIG, "is larger than 1 MiB");
    text[length] = '\0';
    r = check_text(text, length, problem);
    if (r < 0)
        return r;
    *ret_length = length;
    *ret_text = text;
    text = NULL;
    return 0;
}
