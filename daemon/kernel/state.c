/* The state file; see state.h. */
#include "daemon/kernel/state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VERSION "fcgipool state 1"
/* Powers of two, so that no record lies on two pages and none is written by half. */
#define LINE_SIZE   128
#define HEADER_SIZE ((size_t)2 * LINE_SIZE)
#define RECORD_SIZE 64
/* More is no file of ours: 4096 workers, and as many of each of some former masters. */
#define RECORDS_MAX 65536
#define BOOT_SIZE   37

static void close_cleanup(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

static void free_cleanup(char **text)
{
    free(*text);
}

static void read_boot(char ret_boot[BOOT_SIZE])
{
    __attribute__((cleanup(close_cleanup))) int fd =
        open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    memset(ret_boot, 0, BOOT_SIZE);
    if (fd < 0 || read(fd, ret_boot, BOOT_SIZE - 1) != BOOT_SIZE - 1)
        strcpy(ret_boot, "unknown");
}

/* --- reading --- */

/* Opens what is at the path if it is ours alone. Returns the descriptor, or -errno; -ENOENT: nothing there.
 */
static int open_ours(const char *path, off_t *ret_size, struct problem *problem)
{
    struct stat found;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return -ENOENT;
    if (fd < 0)
        return problem_set(problem, -errno, "cannot open the state file %s: %s", path,
                           errno == ELOOP ? "it is a link; take it away" : strerror(errno));
    if (fstat(fd, &found) == 0 && S_ISREG(found.st_mode) && found.st_uid == geteuid() &&
        found.st_nlink == 1 && (found.st_mode & 022) == 0) {
        *ret_size = found.st_size;
        return fd;
    }
    (void)close(fd);
    return problem_set(
        problem, -EPERM,
        "the state file %s is not a file of ours alone (kind, owner, mode, links); take it away", path);
}

/* The whole file as a string, on the heap. */
static int read_all(int fd, size_t size, char **ret_text)
{
    char *text = malloc(size + 1);
    if (text == NULL)
        return -ENOMEM;
    ssize_t length = pread(fd, text, size, 0);
    if (length != (ssize_t)size) {
        int error = length < 0 ? -errno : -EIO;
        free(text);
        return error;
    }
    text[size] = '\0';
    *ret_text = text;
    return 0;
}

/* Returns false when the lines make no sense; another boot's leave the inode 0. */
static bool parse_header(const char *text, struct listener *listener)
{
    char boot[BOOT_SIZE], found_boot[BOOT_SIZE], address[ADDRESS_TEXT_SIZE];
    uint64_t inode, cookie, path_device, path_inode;
    struct problem problem;
    if (text[LINE_SIZE - 1] != '\n' || text[HEADER_SIZE - 1] != '\n' ||
        sscanf(text, VERSION " %36s %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64, found_boot, &inode,
               &cookie, &path_device, &path_inode) != 5)
        return false;
    memcpy(address, text + LINE_SIZE, sizeof address);
    address[LINE_SIZE - 1] = '\0';
    for (size_t end = LINE_SIZE - 1; end > 0 && address[end - 1] == ' '; end--)
        address[end - 1] = '\0';
    read_boot(boot);
    if (strcmp(boot, found_boot) != 0)
        return true;
    if (address_parse(address, &listener->address, &problem) != 0)
        return false;
    listener->inode = inode;
    listener->cookie = cookie;
    listener->path_device = (dev_t)path_device;
    listener->path_inode = (ino_t)path_inode;
    return true;
}

/* Returns false when the record makes no sense; a free one has pid 0. */
static bool parse_record(const char *text, struct state_record *ret_record)
{
    return text[RECORD_SIZE - 1] == '\n' && memchr(text, '\n', RECORD_SIZE - 1) == NULL &&
           sscanf(text, "%d %" SCNx64 " %" SCNx64 " %" SCNx64, &ret_record->pid, &ret_record->start,
                  &ret_record->inode, &ret_record->cookie) == 4 &&
           (ret_record->pid == 0 || ret_record->pid > 1);
}

static int parse(const char *text, size_t size, struct state_former *former)
{
    former->garbage = size < HEADER_SIZE || !parse_header(text, &former->listener);
    if (former->garbage || former->listener.inode == 0)
        return 0;
    size_t count = (size - HEADER_SIZE) / RECORD_SIZE;
    former->garbage = (size - HEADER_SIZE) % RECORD_SIZE != 0;
    former->records = calloc(count + 1, sizeof *former->records);
    if (former->records == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        struct state_record record;
        if (!parse_record(text + HEADER_SIZE + i * RECORD_SIZE, &record))
            former->garbage = true;
        else if (record.pid != 0)
            former->records[former->count++] = record;
    }
    return 0;
}

int state_read(const char *path, struct state_former *ret_former, struct problem *problem)
{
    __attribute__((cleanup(free_cleanup))) char *text = NULL;
    struct state_former former = STATE_FORMER_INIT;
    off_t size = 0;
    __attribute__((cleanup(close_cleanup))) int fd = open_ours(path, &size, problem);
    if (fd < 0 && fd != -ENOENT)
        return fd;
    if (fd >= 0 && (uintmax_t)size > HEADER_SIZE + (size_t)RECORDS_MAX * RECORD_SIZE) {
        former.garbage = true;
    } else if (fd >= 0) {
        int error = read_all(fd, (size_t)size, &text);
        if (error == 0 && text != NULL)
            error = parse(text, (size_t)size, &former);
        if (error != 0)
            return problem_set(problem, error, "cannot read the state file %s: %s", path, strerror(-error));
    }
    *ret_former = former;
    return 0;
}

void state_former_fini(struct state_former *former)
{
    free(former->records);
    *former = (struct state_former)STATE_FORMER_INIT;
}

/* --- writing --- */

/* Where the file lies until it is published. */
static void draft_path(const struct state *state, char ret_path[PATH_MAX + 4])
{
    (void)snprintf(ret_path, PATH_MAX + 4, "%s.new", state->path);
}

static int write_at(int fd, const char *text, size_t size, size_t offset)
{
    ssize_t done = pwrite(fd, text, size, (off_t)offset);
    return done == (ssize_t)size ? 0 : done < 0 ? -errno : -ENOSPC;
}

static int write_record(const struct state *state, size_t index)
{
    char text[RECORD_SIZE + 1];
    const struct state_record *record = &state->records[index];
    int length = snprintf(text, sizeof text, "%d %" PRIx64 " %" PRIx64 " %" PRIx64, record->pid,
                          record->start, record->inode, record->cookie);
    if (length >= RECORD_SIZE)
        return -EOVERFLOW;
    memset(text + length, ' ', (size_t)(RECORD_SIZE - length));
    text[RECORD_SIZE - 1] = '\n';
    return write_at(state->fd, text, RECORD_SIZE, HEADER_SIZE + index * RECORD_SIZE);
}

static int write_header(int fd, const struct listener *listener)
{
    char text[HEADER_SIZE + 1], first[LINE_SIZE], address[ADDRESS_TEXT_SIZE], boot[BOOT_SIZE];
    read_boot(boot);
    address_format(&listener->address, address, sizeof address);
    (void)snprintf(first, sizeof first, VERSION " %s %" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64, boot,
                   listener->inode, listener->cookie, (uint64_t)listener->path_device,
                   (uint64_t)listener->path_inode);
    (void)snprintf(text, sizeof text, "%-*s\n%-*s\n", LINE_SIZE - 1, first, LINE_SIZE - 1, address);
    return write_at(fd, text, HEADER_SIZE, 0);
}

int state_create(struct state *state, const char *path, const struct listener *listener,
                 struct problem *problem)
{
    char draft[PATH_MAX + 4];
    if ((size_t)snprintf(state->path, sizeof state->path, "%s", path) >= sizeof state->path)
        return problem_set(problem, -ENAMETOOLONG, "state file %s: the path is too long", path);
    draft_path(state, draft);
    /* Of a master that died at this point; nobody else's, for we have the lock. */
    (void)unlink(draft);
    state->fd = open(draft, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int error = state->fd < 0 ? -errno : write_header(state->fd, listener);
    if (error == 0)
        return 0;
    if (state->fd >= 0)
        (void)unlink(draft);
    return problem_set(problem, error, "cannot make the state file %s: %s", draft, strerror(-error));
}

int state_publish(struct state *state, struct problem *problem)
{
    char draft[PATH_MAX + 4];
    draft_path(state, draft);
    if (rename(draft, state->path) == 0)
        return 0;
    int error = -errno;
    (void)unlink(draft);
    return problem_set(problem, error, "cannot make the state file %s: %s", state->path, strerror(-error));
}

/* A free record, or a new one; -ENOMEM. */
static ssize_t find_room(struct state *state)
{
    for (size_t i = 0; i < state->count; i++)
        if (state->records[i].pid == 0)
            return (ssize_t)i;
    if (state->count == state->capacity) {
        size_t capacity = state->capacity == 0 ? 64 : state->capacity * 2;
        struct state_record *records = realloc(state->records, capacity * sizeof *records);
        if (records == NULL)
            return -ENOMEM;
        state->records = records;
        state->capacity = capacity;
    }
    return (ssize_t)state->count++;
}

int state_add(struct state *state, const struct state_record *record)
{
    ssize_t index = find_room(state);
    if (index < 0)
        return (int)index;
    state->records[index] = *record;
    return write_record(state, (size_t)index);
}

int state_drop(struct state *state, pid_t pid)
{
    for (size_t i = 0; i < state->count; i++) {
        if (state->records[i].pid == pid) {
            state->records[i] = (struct state_record){.pid = 0};
            return write_record(state, i);
        }
    }
    return 0;
}

void state_close(struct state *state, bool remove)
{
    if (state->fd >= 0) {
        if (remove)
            (void)unlink(state->path);
        (void)close(state->fd);
    }
    free(state->records);
    *state = (struct state)STATE_INIT;
}
