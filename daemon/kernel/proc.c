/*
 * Reading /proc. proc(5) has the formats; all files are read with one read() into a small buffer.
 */
#include "daemon/kernel/proc.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_SIZE 64

static void directory_cleanup(DIR **directory)
{
    if (*directory != NULL)
        (void)closedir(*directory);
}

/* One spelling each for "gone" and "not allowed". */
static int translate(int error)
{
    if (error == ENOENT || error == ESRCH)
        return -ESRCH;
    return error == EPERM ? -EACCES : -error;
}

/* The next name of a directory that begins with a digit: 1, 0 at the end (also when the process has gone), or
 * -errno, for a list cut short must not pass for a whole one. */
static int next_number(DIR *directory, const char **ret_name)
{
    const struct dirent *entry;
    do {
        errno = 0;
        entry = readdir(directory);
        if (entry == NULL)
            return errno == 0 || translate(errno) == -ESRCH ? 0 : -errno;
    } while (!isdigit((unsigned char)entry->d_name[0]));
    *ret_name = entry->d_name;
    return 1;
}

static pid_t number(const char *name)
{
    return (pid_t)strtol(name, NULL, 10);
}

/* Reads a small file as a string. */
static int read_text(const char *path, char *ret_text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return translate(errno);
    ssize_t length = read(fd, ret_text, size - 1);
    int error = length < 0 ? translate(errno) : 0;
    (void)close(fd);
    if (error == 0)
        ret_text[length] = '\0';
    return error;
}

/* --- groups --- */

static int table_add(struct proc_table *table, pid_t pid, pid_t group)
{
    if (table->count == table->capacity) {
        size_t capacity = table->capacity == 0 ? 256 : table->capacity * 2;
        struct proc_entry *entries = realloc(table->entries, capacity * sizeof *entries);
        if (entries == NULL)
            return -ENOMEM;
        table->entries = entries;
        table->capacity = capacity;
    }
    table->entries[table->count++] = (struct proc_entry){.pid = pid, .group = group};
    return 0;
}

static int compare(const void *a, const void *b)
{
    const struct proc_entry *x = a, *y = b;
    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    return (x->pid > y->pid) - (x->pid < y->pid);
}

int proc_table_read(struct proc_table *table)
{
    table->count = 0;
    __attribute__((cleanup(directory_cleanup))) DIR *directory = opendir("/proc");
    if (directory == NULL)
        return -errno;
    const char *name = "";
    int more;
    while ((more = next_number(directory, &name)) > 0) {
        pid_t group = getpgid(number(name));
        if (group >= 0)
            more = table_add(table, number(name), group);
        if (more < 0)
            break;
    }
    if (more < 0) {
        table->count = 0;
        return more;
    }
    if (table->count > 1)
        qsort(table->entries, table->count, sizeof *table->entries, compare);
    return 0;
}

size_t proc_table_group(const struct proc_table *table, pid_t group, const struct proc_entry **ret_first)
{
    size_t low = 0, high = table->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (table->entries[middle].group < group)
            low = middle + 1;
        else
            high = middle;
    }
    size_t end = low;
    while (end < table->count && table->entries[end].group == group)
        end++;
    *ret_first = table->entries + low;
    return end - low;
}

void proc_table_fini(struct proc_table *table)
{
    free(table->entries);
    *table = (struct proc_table)PROC_TABLE_INIT;
}

/* --- threads --- */

int proc_each_thread(pid_t pid, proc_thread_fn *each, void *context)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "/proc/%d/task", pid);
    __attribute__((cleanup(directory_cleanup))) DIR *directory = opendir(path);
    if (directory == NULL)
        return translate(errno) == -ESRCH ? 0 : translate(errno);
    const char *name = "";
    int more, result = 0;
    while (result == 0 && (more = next_number(directory, &name)) != 0)
        result = more < 0 ? more : each(pid, number(name), context);
    return result;
}

unsigned proc_threads(pid_t pid)
{
    char path[PATH_SIZE];
    struct stat directory;
    (void)snprintf(path, sizeof path, "/proc/%d/task", pid);
    return stat(path, &directory) == 0 ? (unsigned)directory.st_nlink - 2 : 0;
}

/* State and parent of a stat file. The program's name before them may hold anything, parentheses too. */
static int read_stat(const char *path, char *ret_state, pid_t *ret_parent)
{
    char text[512] = "";
    int error = read_text(path, text, sizeof text);
    if (error != 0)
        return error;
    const char *end = strrchr(text, ')');
    return end != NULL && sscanf(end + 1, " %c %d", ret_state, ret_parent) == 2 ? 0 : -EPROTO;
}

int proc_text(pid_t pid, const char *name, char *ret_text, size_t size)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    return read_text(path, ret_text, size);
}

int proc_start(pid_t pid, uint64_t *ret_ticks)
{
    char text[512] = "";
    int error = proc_text(pid, "stat", text, sizeof text);
    if (error != 0)
        return error;
    /* Field 22; the first after the name is field 3. */
    const char *at = strrchr(text, ')');
    for (int field = 2; at != NULL && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at != NULL && sscanf(at, " %" SCNu64, ret_ticks) == 1 ? 0 : -EPROTO;
}

static int read_state(const char *path, char *ret_state)
{
    pid_t parent;
    return read_stat(path, ret_state, &parent);
}

int proc_each_child(pid_t parent, proc_child_fn *each, void *context)
{
    __attribute__((cleanup(directory_cleanup))) DIR *directory = opendir("/proc");
    if (directory == NULL)
        return -errno;
    const char *name = "";
    int more, result = 0;
    while (result == 0 && (more = next_number(directory, &name)) != 0) {
        char path[PATH_SIZE], letter;
        pid_t parent_of;
        (void)snprintf(path, sizeof path, "/proc/%d/stat", more < 0 ? 0 : number(name));
        if (more < 0)
            result = more;
        else if (read_stat(path, &letter, &parent_of) == 0 && parent_of == parent && letter != 'Z' &&
                 letter != 'X')
            result = each(number(name), context);
    }
    return result;
}

static int see_state(pid_t pid, pid_t thread, void *context)
{
    enum proc_state *state = context;
    char path[PATH_SIZE], letter;
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/stat", pid, thread);
    int error = read_state(path, &letter);
    if (error == -ESRCH)
        return 0;
    if (error != 0)
        return error;
    if (letter == 'T' || letter == 't')
        *state = PROC_STOPPED;
    else if (letter != 'Z' && letter != 'X')
        *state = PROC_RUNNING;
    return *state == PROC_RUNNING;
}

int proc_state(pid_t pid, enum proc_state *ret_state)
{
    enum proc_state state = PROC_ENDED;
    int result = proc_each_thread(pid, see_state, &state);
    if (result < 0)
        return result;
    *ret_state = state;
    return 0;
}

bool proc_ended(pid_t pid)
{
    char path[PATH_SIZE], letter;
    enum proc_state state;
    (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int error = read_state(path, &letter);
    /* A mount with hidepid hides other users' processes: no file does not mean no process. */
    if (error == -ESRCH)
        return kill(pid, 0) != 0 && errno == ESRCH;
    if (error != 0)
        return false;
    /* This is the main thread's letter; a program may end that one and go on with others. */
    return (letter == 'Z' || letter == 'X') && proc_state(pid, &state) == 0 && state == PROC_ENDED;
}

int proc_thread_call(pid_t pid, pid_t thread, struct proc_call *ret_call)
{
    char path[PATH_SIZE], text[256] = "";
    struct proc_call call = {.number = -1};
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/syscall", pid, thread);
    int error = read_text(path, text, sizeof text);
    if (error == -ESRCH && access("/proc/self/syscall", F_OK) != 0)
        return -EACCES;
    if (error != 0)
        return error;
    /* "running", "-1 SP PC", or "NUMBER 0xARGUMENT ...". */
    if (isdigit((unsigned char)text[0]) && sscanf(text, "%ld %" SCNx64, &call.number, &call.first) != 2)
        return -EPROTO;
    *ret_call = call;
    return 0;
}

/* --- sockets --- */

/* Reads "socket:[INODE]" of a descriptor. */
static int read_socket(int directory, const char *name, uint64_t *ret_inode)
{
    char target[64];
    ssize_t length = readlinkat(directory, name, target, sizeof target - 1);
    if (length < 0)
        return translate(errno);
    target[length] = '\0';
    return sscanf(target, "socket:[%" SCNu64 "]", ret_inode) == 1 ? 0 : -ENOTSOCK;
}

/* As proc_each_socket, of one directory of descriptors. */
static int each_socket_in(pid_t pid, const char *path, proc_socket_fn *each, void *context, bool *ret_any)
{
    __attribute__((cleanup(directory_cleanup))) DIR *directory = opendir(path);
    if (directory == NULL)
        return translate(errno) == -ESRCH ? 0 : translate(errno);
    const char *name = "";
    int more, result = 0;
    while (result == 0 && (more = next_number(directory, &name)) != 0) {
        uint64_t inode = 0;
        *ret_any = true;
        result = more < 0 ? more : read_socket(dirfd(directory), name, &inode);
        if (result == 0)
            result = each(pid, (int)number(name), inode, context);
        else if (result == -ESRCH || result == -ENOTSOCK)
            result = 0;
    }
    return result;
}

struct socket_walk {
    proc_socket_fn *each;
    void *context;
};

static int see_thread_sockets(pid_t pid, pid_t thread, void *context)
{
    const struct socket_walk *walk = context;
    char path[PATH_SIZE];
    bool any;
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/fd", pid, thread);
    return each_socket_in(pid, path, walk->each, walk->context, &any);
}

int proc_each_socket(pid_t pid, proc_socket_fn *each, void *context)
{
    char path[PATH_SIZE];
    bool any = false;
    (void)snprintf(path, sizeof path, "/proc/%d/fd", pid);
    int result = each_socket_in(pid, path, each, context, &any);
    if (result != 0 || any)
        return result;
    /* A main thread that has ended shows no descriptors, though the others have them all. */
    struct socket_walk walk = {.each = each, .context = context};
    return proc_each_thread(pid, see_thread_sockets, &walk);
}

int proc_socket(pid_t pid, pid_t thread, uint64_t fd, uint64_t *ret_inode)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/fd/%" PRIu64, pid, thread, fd);
    return read_socket(AT_FDCWD, path, ret_inode);
}
