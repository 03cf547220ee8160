/* The state file; see state.h. */
#include "daemon/kernel/state.h"

#include "daemon/base/fd.h"
#include "daemon/base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VERSION "fcgipool state 3"
/* Powers of two, so that no record lies on two pages and none is written by half. */
#define FIRST_SIZE  128
#define SOCKET_SIZE 256
#define RECORD_SIZE 64
#define SOCKETS_MAX 64
/* More is no file of ours: 4096 workers, and as many of each of some former masters. */
#define RECORDS_MAX 65536
#define BOOT_SIZE   37

static void read_boot(char ret_boot[BOOT_SIZE])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    memset(ret_boot, 0, BOOT_SIZE);
    if (fd < 0 || read(fd, ret_boot, BOOT_SIZE - 1) != BOOT_SIZE - 1)
        strcpy(ret_boot, "unknown");
    fd_close(&fd);
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

/* Returns false when the line makes no sense; another boot's has no sockets. */
static bool parse_first(const char *text, size_t *ret_socket_count)
{
    char boot[BOOT_SIZE], found_boot[BOOT_SIZE];
    size_t count;
    if (text[FIRST_SIZE - 1] != '\n' || sscanf(text, VERSION " %36s %zu", found_boot, &count) != 2 ||
        count == 0 || count > SOCKETS_MAX)
        return false;
    read_boot(boot);
    *ret_socket_count = strcmp(boot, found_boot) == 0 ? count : 0;
    return true;
}

/* Returns false when the line makes no sense. */
static bool parse_socket(const char *text, struct listener *ret_listener)
{
    char address[ADDRESS_TEXT_SIZE];
    struct listener listener = LISTENER_INIT;
    uint64_t path_device, path_inode;
    size_t length;
    unsigned foreign;
    int begin = 0;
    struct problem problem;
    if (text[SOCKET_SIZE - 1] != '\n' ||
        sscanf(text, "%" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %u %zu:%n", &listener.inode,
               &listener.cookie, &path_device, &path_inode, &foreign, &length, &begin) != 6 ||
        begin == 0 || listener.inode == 0 || length >= sizeof address ||
        (size_t)begin + length >= SOCKET_SIZE)
        return false;
    memcpy(address, text + begin, length);
    address[length] = '\0';
    if (address_parse(address, &listener.address, &problem) != 0)
        return false;
    listener.path_device = (dev_t)path_device;
    listener.path_inode = (ino_t)path_inode;
    listener.foreign = foreign != 0;
    *ret_listener = listener;
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

static int parse_sockets(const char *text, size_t count, struct state_former *former)
{
    former->sockets = calloc(count, sizeof *former->sockets);
    if (former->sockets == NULL)
        return -ENOMEM;
    while (former->socket_count < count && !former->garbage) {
        former->garbage =
            !parse_socket(text + former->socket_count * SOCKET_SIZE, &former->sockets[former->socket_count]);
        former->socket_count += !former->garbage;
    }
    return 0;
}

static int parse_records(const char *text, size_t size, struct state_former *former)
{
    size_t count = size / RECORD_SIZE;
    former->records = calloc(count + 1, sizeof *former->records);
    if (former->records == NULL)
        return -ENOMEM;
    former->garbage = former->garbage || size % RECORD_SIZE != 0;
    for (size_t i = 0; i < count; i++) {
        struct state_record record;
        if (!parse_record(text + i * RECORD_SIZE, &record))
            former->garbage = true;
        else if (record.pid != 0)
            former->records[former->count++] = record;
    }
    return 0;
}

static int parse(const char *text, size_t size, struct state_former *former)
{
    size_t socket_count = 0;
    former->garbage = size < FIRST_SIZE || !parse_first(text, &socket_count) ||
                      size < FIRST_SIZE + socket_count * SOCKET_SIZE;
    if (former->garbage || socket_count == 0)
        return 0;
    size_t header_size = FIRST_SIZE + socket_count * SOCKET_SIZE;
    int error = parse_sockets(text + FIRST_SIZE, socket_count, former);
    return error != 0 ? error : parse_records(text + header_size, size - header_size, former);
}

int state_read(const char *path, struct state_former *ret_former, struct problem *problem)
{
    __attribute__((cleanup(memory_free_text))) char *text = NULL;
    struct state_former former = STATE_FORMER_INIT;
    off_t size = 0;
    __attribute__((cleanup(fd_close))) int fd = open_ours(path, &size, problem);
    if (fd < 0 && fd != -ENOENT)
        return fd;
    if (fd >= 0 && (uintmax_t)size >
                       FIRST_SIZE + (size_t)SOCKETS_MAX * SOCKET_SIZE + (size_t)RECORDS_MAX * RECORD_SIZE) {
        former.garbage = true;
    } else if (fd >= 0) {
        int error = read_all(fd, (size_t)size, &text);
        if (error == 0 && text != NULL)
            error = parse(text, (size_t)size, &former);
        if (error != 0) {
            state_former_fini(&former);
            return problem_set(problem, error, "cannot read the state file %s: %s", path, strerror(-error));
        }
    }
    *ret_former = former;
    return 0;
}

void state_former_fini(struct state_former *former)
{
    free(former->sockets);
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
    return write_at(state->fd, text, RECORD_SIZE, state->header_size + index * RECORD_SIZE);
}

static int write_first(int fd, size_t socket_count)
{
    char text[FIRST_SIZE + 1], first[FIRST_SIZE], boot[BOOT_SIZE];
    read_boot(boot);
    (void)snprintf(first, sizeof first, VERSION " %s %zu", boot, socket_count);
    (void)snprintf(text, sizeof text, "%-*s\n", FIRST_SIZE - 1, first);
    return write_at(fd, text, FIRST_SIZE, 0);
}

static int write_socket(int fd, const struct listener *listener, size_t index)
{
    char text[SOCKET_SIZE + 1], line[SOCKET_SIZE], address[ADDRESS_TEXT_SIZE];
    address_format(&listener->address, address, sizeof address);
    (void)snprintf(line, sizeof line, "%" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64 " %d %zu:%s",
                   listener->inode, listener->cookie, (uint64_t)listener->path_device,
                   (uint64_t)listener->path_inode, listener->foreign, strlen(address), address);
    (void)snprintf(text, sizeof text, "%-*s\n", SOCKET_SIZE - 1, line);
    return write_at(fd, text, SOCKET_SIZE, FIRST_SIZE + index * SOCKET_SIZE);
}

int state_name_sockets(struct state *state, const struct listener *sockets, size_t count)
{
    count = count < SOCKETS_MAX ? count : SOCKETS_MAX;
    int error = write_first(state->fd, count);
    for (size_t i = 0; i < count && error == 0; i++)
        error = write_socket(state->fd, &sockets[i], i);
    state->header_size = FIRST_SIZE + count * SOCKET_SIZE;
    return error;
}

static int open_draft(struct state *state)
{
    char draft[PATH_MAX + 4];
    draft_path(state, draft);
    /* Of a master that died at this point; nobody else's, for we have the lock. */
    (void)unlink(draft);
    state->fd = open(draft, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return state->fd < 0 ? -errno : 0;
}

int state_create(struct state *state, const char *path, struct problem *problem)
{
    if ((size_t)snprintf(state->path, sizeof state->path, "%s", path) >= sizeof state->path)
        return problem_set(problem, -ENAMETOOLONG, "state file %s: the path is too long", path);
    int error = open_draft(state);
    /* A disk that is full is one now. */
    if (error == 0)
        error = write_first(state->fd, 0);
    return error == 0 ? 0
                      : problem_set(problem, error, "cannot make the state file %s.new: %s", state->path,
                                    strerror(-error));
}

int state_publish(struct state *state, struct problem *problem)
{
    char draft[PATH_MAX + 4];
    draft_path(state, draft);
    state->published = rename(draft, state->path) == 0;
    return state->published ? 0
                            : problem_set(problem, -errno, "cannot make the state file %s: %s", state->path,
                                          strerror(errno));
}

int state_move(struct state *state, const char *path, struct problem *problem)
{
    if (strlen(path) >= sizeof state->path)
        return problem_set(problem, -ENAMETOOLONG, "state file %s: the path is too long", path);
    if (rename(state->path, path) != 0)
        return problem_set(problem, -errno, "cannot move the state file %s to %s: %s", state->path, path,
                           strerror(errno));
    strcpy(state->path, path);
    return 0;
}

int state_renew(struct state *state, const struct listener *sockets, size_t count)
{
    struct state anew = *state;
    char draft[PATH_MAX + 4];
    int error = open_draft(&anew);
    if (error != 0)
        return error;
    draft_path(state, draft);
    error = state_name_sockets(&anew, sockets, count);
    for (size_t i = 0; i < anew.count && error == 0; i++)
        error = write_record(&anew, i);
    if (error == 0 && rename(draft, state->path) != 0)
        error = -errno;
    if (error != 0) {
        (void)unlink(draft);
        (void)close(anew.fd);
        return error;
    }
    (void)close(state->fd);
    *state = anew;
    return 0;
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

int state_drop(struct state *state, pid_t pid, uint64_t start)
{
    for (size_t i = 0; i < state->count; i++) {
        if (state->records[i].pid == pid && state->records[i].start == start) {
            state->records[i] = (struct state_record){.pid = 0};
            return write_record(state, i);
        }
    }
    return 0;
}

void state_close(struct state *state, bool remove)
{
    char draft[PATH_MAX + 4];
    if (state->fd >= 0) {
        draft_path(state, draft);
        if (!state->published)
            (void)unlink(draft);
        else if (remove)
            (void)unlink(state->path);
        (void)close(state->fd);
    }
    free(state->records);
    *state = (struct state)STATE_INIT;
}
