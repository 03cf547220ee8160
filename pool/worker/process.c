/*
 * From being loaded to the first accept, and across fork and exec; see process.h.
 *
 * Wrappers stand between the master and the worker (`sh -c 'exec worker'`), and workers have children that
 * know nothing of FastCGI. So the page's descriptors and variables live through any number of execs, and go
 * when somebody accepts: whatever that process starts later does not even load the library.
 */
#include "pool/worker/process.h"

#include "pool/worker/acceptor.h"
#include "pool/worker/descriptor.h"
#include "pool/worker/drain.h"
#include "pool/worker/next.h"
#include "pool/worker/wait.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LIBRARY "libfcgipool_preload.so"

struct process process;
PROCESS_THREAD pid_t process_thread;

PROCESS_THREAD bool process_held;

/* Open until the first accept. */
static int page_fd, pool_fd;
static ino_t page_inode, pool_inode;

static uint64_t read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

uint64_t process_now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t process_tick(void)
{
    return read_clock(CLOCK_MONOTONIC_COARSE);
}

pid_t process_ask_tid(void)
{
    process_thread = (pid_t)syscall(SYS_gettid);
    return process_thread;
}

/* The kernel's own call: libc's would take the set of the whole library, and the shims in front of it. It
 * cannot fail, so errno stays as it is. */
static void mask_signal(int how, uint64_t *ret_former)
{
    static const uint64_t set = PROCESS_SIGNAL_BIT;
    syscall(SYS_rt_sigprocmask, how, &set, ret_former, sizeof set);
}

void process_let_signal(void)
{
    mask_signal(SIG_UNBLOCK, NULL);
    process_held = false;
}

void process_hold_signal(void)
{
    __atomic_store_n(&process.masks, true, __ATOMIC_SEQ_CST);
    mask_signal(SIG_BLOCK, NULL);
    process_held = true;
}

const sigset_t *process_change_mask(const sigset_t *mask, sigset_t *changed)
{
    uint64_t bits;
    *changed = *mask;
    memcpy(&bits, mask, sizeof bits);
    bits ^= PROCESS_SIGNAL_BIT;
    memcpy(changed, &bits, sizeof bits);
    return changed;
}

bool process_free_signal(void)
{
    uint64_t former = 0;
    if (process.masks)
        mask_signal(SIG_UNBLOCK, &former);
    return (former & PROCESS_SIGNAL_BIT) != 0;
}

bool process_catch_signal(void)
{
    uint64_t former = 0;
    mask_signal(SIG_BLOCK, &former);
    return !(former & PROCESS_SIGNAL_BIT);
}

bool process_is_listener(int fd)
{
    struct stat about;
    return syscall(SYS_fstat, fd, &about) == 0 && S_ISSOCK(about.st_mode) &&
           about.st_ino == process.page->about.listener_inode &&
           about.st_dev == process.page->about.listener_device;
}

/* ---- fork ---- */

/* Older than pthread_atfork in libc itself, which is not in every glibc for a library without libpthread;
 * musl has the other one only. */
extern int __register_atfork(void (*)(void), void (*)(void), void (*)(void), void *) __attribute__((weak));
#pragma weak pthread_atfork

/* The child has no connection: those it inherits are its parent's. It may be the next acceptor or a CGI
 * program to be; so nothing stays masked until it accepts. */
static void forked(void)
{
    process.parent = process.pid;
    process.pid = (pid_t)syscall(SYS_getpid);
    process.accepted = false;
    process_thread = 0;
    descriptor_forked();
    acceptor_forked();
    drain_forked();
    wait_forked();
    if (process.masks)
        process_let_signal();
}

/* A connection of which nothing was read yet may be for the child to serve, where nobody can see it. */
static void hand_over(int fd, struct connection *connection)
{
    (void)fd;
    connection_unseen(connection);
}

static void has_forked(void)
{
    descriptor_each(DESCRIPTOR_CONNECTION, hand_over);
}

static void watch_forks(void)
{
    if (__register_atfork)
        __register_atfork(NULL, has_forked, forked, NULL);
    else if (pthread_atfork)
        pthread_atfork(NULL, has_forked, forked);
}

/* ---- environment ---- */

/* The variable's place in the environment, or NULL. */
static char **find_variable(const char *name)
{
    size_t length = strlen(name);
    for (char **at = environ; at && *at; at++) {
        if (strncmp(*at, name, length) == 0 && (*at)[length] == '=')
            return at;
    }
    return NULL;
}

static void remove_variable(char **at)
{
    do
        at[0] = at[1];
    while (*at++);
}

/* Takes this library out of the list and leaves the user's own. In place: setenv would allocate, and libc's
 * environment may be somebody else's by now. */
static void remove_library(char **at)
{
    char *list = *at + strlen("LD_PRELOAD="), *next;
    for (char *element = list; *element; element = next) {
        size_t length = strcspn(element, ": ");
        next = element + length + (element[length] != '\0');
        if (length < strlen(LIBRARY) ||
            strncmp(element + length - strlen(LIBRARY), LIBRARY, strlen(LIBRARY)) != 0)
            continue;
        if (!*next && element > list)
            element--; /* the colon before it */
        memmove(element, next, strlen(next) + 1);
        break;
    }
    if (!*list)
        remove_variable(at);
}

static void clean_environment(void)
{
    char **at = find_variable(PAGE_VARIABLE);
    if (at)
        remove_variable(at);
    at = find_variable("LD_PRELOAD");
    if (at)
        remove_library(at);
}

static const char *parse_fd(const char *text, char end, int *ret_fd)
{
    int fd = 0;
    if (*text < '0' || *text > '9')
        return NULL;
    for (; *text >= '0' && *text <= '9' && fd < 100000000; text++)
        fd = fd * 10 + (*text - '0');
    *ret_fd = fd;
    return *text == end ? text + 1 : NULL;
}

/* ---- attaching ---- */

static ino_t inode_of(int fd)
{
    struct stat about;
    return syscall(SYS_fstat, fd, &about) == 0 ? about.st_ino : 0;
}

static void *map_memory(int fd, size_t size)
{
    struct stat about;
    int seals = (int)syscall(SYS_fcntl, fd, F_GET_SEALS);
    if (seals < 0 || !(seals & F_SEAL_SHRINK) || syscall(SYS_fstat, fd, &about) < 0 ||
        about.st_size != (off_t)size)
        return NULL;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    // cppcheck-suppress memleak
    return memory == MAP_FAILED ? NULL : memory;
}

static bool is_ours(void)
{
    const struct page *page = process.page;
    const struct page_pool *pool = process.pool;
    return page && pool && page->about.magic == PAGE_MAGIC && page->about.version == PAGE_VERSION &&
           page->about.size == PAGE_BYTES && pool->magic == PAGE_POOL_MAGIC &&
           pool->version == PAGE_VERSION && pool->size == PAGE_POOL_BYTES && process_is_listener(0);
}

static void unmap(void)
{
    if (process.page)
        munmap(process.page, PAGE_BYTES);
    if (process.pool)
        munmap(process.pool, PAGE_POOL_BYTES);
    process.page = NULL;
    process.pool = NULL;
}

void process_attach(int page, int pool)
{
    page_fd = page;
    pool_fd = pool;
    process.page = map_memory(page_fd, PAGE_BYTES);
    process.pool = map_memory(pool_fd, PAGE_POOL_BYTES);
    if (!is_ours() || !descriptor_reserve()) {
        unmap();
        return;
    }
    process.pid = (pid_t)syscall(SYS_getpid);
    process_thread = 0;
    acceptor_forget(process.pid);
    connection_forget(process.pid);
    drain_attach();
    descriptor_listens(0);
    page_inode = inode_of(page_fd);
    pool_inode = inode_of(pool_fd);
    watch_forks();
    __atomic_store_n(&process.page->report.attached_pid, process.pid, __ATOMIC_SEQ_CST);
}

/* A program in Go that is linked with libc has this. It makes its system calls by itself, so nothing of it
 * would be seen; and it needs the drain's signal for a purpose of its own. */
extern void crosscall2(void) __attribute__((weak));

__attribute__((constructor)) static void attach(void)
{
    int error = errno, page, pool;
    next_find();
    char **variable = crosscall2 ? NULL : find_variable(PAGE_VARIABLE);
    const char *value = variable ? *variable + sizeof PAGE_VARIABLE : NULL;
    if (value && (value = parse_fd(value, ':', &page)) && parse_fd(value, '\0', &pool))
        process_attach(page, pool);
    errno = error;
}

/* Once; and not when the program has closed it, and perhaps opened another under the number. */
static void close_own(int *fd, ino_t inode)
{
    if (*fd >= 0 && inode_of(*fd) == inode)
        NEXT(close)(*fd);
    *fd = -1;
}

bool process_accepts(void)
{
    int32_t nobody = 0;
    if (__atomic_exchange_n(&process.accepted, true, __ATOMIC_SEQ_CST))
        return false;
    close_own(&page_fd, page_inode);
    close_own(&pool_fd, pool_inode);
    clean_environment();
    drain_accepts();
    if (__atomic_load_n(&process.page->report.accepted_pid, __ATOMIC_SEQ_CST) != 0)
        return false;
    __atomic_store_n(&process.page->report.accepted_ns, process_now(), __ATOMIC_SEQ_CST);
    return __atomic_compare_exchange_n(&process.page->report.accepted_pid, &nobody, process.pid, false,
                                       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}
