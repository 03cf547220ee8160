/* Lock files beside socket paths; see path_lock.h. */
#include "daemon/kernel/path_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define TRIES          100
#define LOCK_PATH_SIZE (sizeof(struct sockaddr_un) + sizeof ".lock")

static void name_lock(const char *path, char ret_path[LOCK_PATH_SIZE])
{
    (void)snprintf(ret_path, LOCK_PATH_SIZE, "%s.lock", path);
}

/* Whether `path` still leads to the open file. */
static bool same_file(int fd, const char *path)
{
    struct stat open_file, named;
    return fstat(fd, &open_file) == 0 && lstat(path, &named) == 0 && open_file.st_dev == named.st_dev &&
           open_file.st_ino == named.st_ino;
}

/* Opens the lock file, and says whether it is new. Returns the descriptor, or -errno; -EAGAIN: its holder has
 * just taken it away. */
static int open_lock(const char *lock, bool *ret_fresh)
{
    int fd = open(lock, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
    *ret_fresh = fd >= 0;
    if (fd >= 0)
        return fd;
    if (errno != EEXIST)
        return -errno;
    fd = open(lock, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? -EAGAIN : -errno;
    return fd;
}

/* Whose lock file is it? Not ours alone: a link to somebody's file, or put there to mislead us. */
static bool is_trusted(int fd)
{
    struct stat found;
    return fstat(fd, &found) == 0 && S_ISREG(found.st_mode) && found.st_uid == geteuid() &&
           found.st_nlink <= 1 && (found.st_mode & 022) == 0;
}

/* The pid in the lock file, for people; 0 when there is none yet. */
static long holder_of(int fd)
{
    char text[24] = "";
    (void)!pread(fd, text, sizeof text - 1, 0);
    return strtol(text, NULL, 10);
}

void path_lock_sign(int fd)
{
    char text[24];
    int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    (void)!ftruncate(fd, 0);
    (void)!pwrite(fd, text, (size_t)length, 0);
}

int path_lock_take(const char *path, bool *ret_fresh, struct problem *problem)
{
    char lock[LOCK_PATH_SIZE];
    name_lock(path, lock);
    for (int i = 0; i < TRIES; i++) {
        int fd = open_lock(lock, ret_fresh);
        if (fd == -EAGAIN)
            continue;
        if (fd == -ENOENT)
            return problem_set(problem, fd, "cannot listen on unix:%s: its directory does not exist", path);
        if (fd < 0)
            return problem_set(problem, fd, "cannot open the lock file %s: %s", lock, strerror(-fd));
        if (!is_trusted(fd)) {
            (void)close(fd);
            return problem_set(
                problem, -EPERM,
                "the lock file %s is not a file of ours alone (owner, mode, links); take it away", lock);
        }
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            int error = errno;
            long holder = holder_of(fd);
            (void)close(fd);
            if (error == EWOULDBLOCK)
                return problem_set(problem, -EADDRINUSE,
                                   "unix:%s is in use by another master, pid %ld (lock %s is held)", path,
                                   holder, lock);
            return problem_set(problem, -error, "cannot lock %s: %s", lock, strerror(error));
        }
        /* The former holder may have taken the file away between our open and our lock. */
        if (same_file(fd, lock)) {
            path_lock_sign(fd);
            return fd;
        }
        (void)close(fd);
    }
    return problem_set(problem, -EADDRINUSE, "the lock file %s is being replaced all the time", lock);
}

void path_lock_release(const char *path, int fd)
{
    char lock[LOCK_PATH_SIZE];
    name_lock(path, lock);
    if (same_file(fd, lock))
        (void)unlink(lock);
    (void)close(fd);
}
