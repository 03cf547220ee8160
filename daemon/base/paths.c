/* Paths; see paths.h. */
#include "daemon/base/paths.h"

#include "daemon/base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Writes to `ret` only what fits whole. */
__attribute__((format(printf, 3, 4))) static int write_path(char *ret, size_t size, const char *format, ...)
{
    char text[2 * PATH_MAX];
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= size || (size_t)length >= sizeof text)
        return -ENAMETOOLONG;
    memcpy(ret, text, (size_t)length + 1);
    return 0;
}

int paths_runtime_directory_of(uid_t user, const char *xdg, char *ret_path, size_t size)
{
    if (user == 0)
        return write_path(ret_path, size, "/run/fcgipool");
    if (xdg && xdg[0] == '/')
        return paths_absolute(xdg, "fcgipool", ret_path, size);
    return write_path(ret_path, size, "/tmp/fcgipool-%u", (unsigned)user);
}

int paths_runtime_directory(char *ret_path, size_t size)
{
    return paths_runtime_directory_of(geteuid(), getenv("XDG_RUNTIME_DIR"), ret_path, size);
}

/* What a umask took from a directory that we made just now. */
static int give_mode(const char *path, mode_t mode)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = fchmod(fd, mode) < 0 ? -errno : 0;
    close(fd);
    return r;
}

int paths_make_directory(const char *path, mode_t mode, struct problem *problem)
{
    struct stat status;
    int r = 0;

    if (mkdir(path, mode) == 0)
        r = give_mode(path, mode);
    else if (errno != EEXIST)
        r = -errno;
    if (r < 0)
        return problem_set(problem, r, "the directory %s cannot be made: %s", path, strerror(-r));

    if (lstat(path, &status) < 0)
        return problem_set(problem, -errno, "%s cannot be looked at: %s", path, strerror(errno));
    if (!S_ISDIR(status.st_mode))
        return problem_set(problem, -ENOTDIR, "%s is not a directory; take it away", path);
    if (status.st_uid != geteuid())
        return problem_set(problem, -EPERM, "%s belongs to user %u, not to us (user %u)", path,
                           (unsigned)status.st_uid, (unsigned)geteuid());
    if (status.st_mode & 022)
        return problem_set(problem, -EPERM, "%s is writable by others (mode %04o); make it %04o", path,
                           (unsigned)(status.st_mode & 07777), (unsigned)mode);
    return 0;
}

int paths_make_runtime_directory(struct problem *problem)
{
    char path[PATH_MAX];
    int r = paths_runtime_directory(path, sizeof path);
    if (r < 0)
        return problem_set(problem, r, "the path of the runtime directory is too long");
    return paths_make_directory(path, geteuid() == 0 ? 0755 : 0700, problem);
}

int paths_control_socket(const char *name, char *ret_path, size_t size)
{
    char directory[PATH_MAX];
    int r = paths_runtime_directory(directory, sizeof directory);
    return r < 0 ? r : write_path(ret_path, size, "%s/%s.sock", directory, name);
}

/* Takes "//" and "/./" out of an absolute path, and "/" from its end. */
static void tidy(char *path)
{
    char *to = path;
    for (const char *from = path; *from;) {
        from += strspn(from, "/");
        size_t length = strcspn(from, "/");
        if (length > 0 && !(length == 1 && from[0] == '.')) {
            *to++ = '/';
            memmove(to, from, length);
            to += length;
        }
        from += length;
    }
    if (to == path)
        *to++ = '/';
    *to = '\0';
}

int paths_absolute(const char *base, const char *path, char *ret_path, size_t size)
{
    char *joined __attribute__((cleanup(memory_free_text))) =
        memory_text("/%s/%s", path[0] == '/' ? "" : base, path);
    tidy(joined);
    return write_path(ret_path, size, "%s", joined);
}

int paths_absolute_here(const char *path, char *ret_path, size_t size)
{
    char *here __attribute__((cleanup(memory_free_text))) = NULL;
    if (path[0] != '/' && !(here = get_current_dir_name()))
        return -errno;
    return paths_absolute(here, path, ret_path, size);
}

int paths_directory(const char *path, char *ret_path, size_t size)
{
    const char *slash = strrchr(path, '/');
    int length = slash && slash > path ? (int)(slash - path) : 1;
    return write_path(ret_path, size, "%.*s", length, path);
}

int paths_stem(const char *path, char *ret_stem, size_t size)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    const char *dot = strrchr(base, '.');
    size_t length = dot && dot > base ? (size_t)(dot - base) : strlen(base);
    return write_path(ret_stem, size, "%.*s", (int)length, base);
}

/* The directory of this program, without a slash at the end. */
static int own_directory(char *ret_path, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", ret_path, size - 1);
    if (length < 0)
        return -errno;
    ret_path[length] = '\0';
    *strrchr(ret_path, '/') = '\0';
    return 0;
}

int paths_part(const char *name, char *ret_path, size_t size, struct problem *problem)
{
    static const char *const places[] = {"", "/" FCGIPOOL_LIBRARY_PATH};
    char own[PATH_MAX], path[PATH_MAX + sizeof FCGIPOOL_LIBRARY_PATH + NAME_MAX];
    int result = own_directory(own, sizeof own);
    if (result)
        return problem_set(problem, result, "/proc/self/exe: %s", strerror(-result));
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        (void)snprintf(path, sizeof path, "%s%s/%s", own, places[i], name);
        char *real __attribute__((cleanup(memory_free_text))) = realpath(path, NULL);
        if (!real)
            continue;
        if (strlen(real) >= size)
            return problem_set(problem, -ENAMETOOLONG, "%s: %s", real, strerror(ENAMETOOLONG));
        strcpy(ret_path, real);
        return 0;
    }
    return problem_set(problem, -ENOENT, "%s is not beside the program, nor in %s", name,
                       FCGIPOOL_LIBRARY_PATH);
}
