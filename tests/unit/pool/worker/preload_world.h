/*
 * A listener, the pages, and workers that run under the library: the master's part as far as a test needs it.
 */
#ifndef TESTS_UNIT_PRELOAD_WORLD_H
#define TESTS_UNIT_PRELOAD_WORLD_H

#include "pool/page.h"
#include "protocol/fcgi_client.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define DEADLINE_MS 20000
#define PAGE_FD     250
#define POOL_FD     251

/* Waits for `condition`, and fails when it does not come true. */
#define WAIT(condition)                                                                                      \
    do {                                                                                                     \
        int64_t until = now_ms() + DEADLINE_MS;                                                              \
        while (!(condition)) {                                                                               \
            if (now_ms() > until)                                                                            \
                fail_msg("never: %s", #condition);                                                           \
            pause_ms(1);                                                                                     \
        }                                                                                                    \
    } while (0)

struct world {
    int listener;
    struct sockaddr_storage address;
    socklen_t address_length;
    int pool_fd;
    struct page_pool *pool;
};

struct worker {
    pid_t pid;
    int page_fd;
    struct page *page;
};

static inline int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline void pause_ms(long ms)
{
    struct timespec pause = {.tv_nsec = ms * 1000000};
    nanosleep(&pause, NULL);
}

static inline void *make_memory(const char *name, size_t size, int *ret_fd)
{
    *ret_fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_true(*ret_fd >= 0 && ftruncate(*ret_fd, (off_t)size) == 0);
    assert_int_equal(fcntl(*ret_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, *ret_fd, 0);
    assert_true(memory != MAP_FAILED);
    return memory;
}

static inline void listen_at(struct world *world, const void *address, socklen_t length)
{
    memcpy(&world->address, address, length);
    world->listener = socket(world->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(world->listener, address, length), 0);
    assert_int_equal(listen(world->listener, 128), 0);
    world->address_length = sizeof world->address;
    assert_int_equal(getsockname(world->listener, (struct sockaddr *)&world->address, &world->address_length),
                     0);
}

static inline void listen_unix(struct world *world)
{
    static int serial;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "fcgipool-%d-%d", (int)getpid(),
                          serial++);
    listen_at(world, &address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length));
}

static inline void listen_tcp(struct world *world)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    listen_at(world, &address, sizeof address);
}

static inline void world_open(struct world *world)
{
    listen_unix(world);
    world->pool = make_memory("pool", PAGE_POOL_BYTES, &world->pool_fd);
    world->pool->magic = PAGE_POOL_MAGIC;
    world->pool->version = PAGE_VERSION;
    world->pool->size = PAGE_POOL_BYTES;
}

static inline void world_close(struct world *world)
{
    munmap(world->pool, PAGE_POOL_BYTES);
    close(world->pool_fd);
    close(world->listener);
}

static inline struct worker make_page(const struct world *world)
{
    struct worker worker = {0};
    struct stat listener;
    worker.page = make_memory("page", PAGE_BYTES, &worker.page_fd);
    assert_int_equal(fstat(world->listener, &listener), 0);
    worker.page->about.magic = PAGE_MAGIC;
    worker.page->about.version = PAGE_VERSION;
    worker.page->about.size = PAGE_BYTES;
    worker.page->about.listener_inode = listener.st_ino;
    worker.page->about.listener_device = listener.st_dev;
    return worker;
}

/* Starts `argv` with a page for the listener of `other`; `preload` (or NULL) is the user's own LD_PRELOAD. */
static inline struct worker spawn_on(const struct world *world, const struct world *other,
                                     const char *const *argv, const char *preload)
{
    struct worker worker = make_page(other);
    char list[512], variable[32];
    (void)snprintf(list, sizeof list, "%s%s%s", PRELOAD, preload ? ":" : "", preload ? preload : "");
    (void)snprintf(variable, sizeof variable, "%d:%d", PAGE_FD, POOL_FD);
    fflush(NULL);
    worker.pid = fork();
    assert_true(worker.pid >= 0);
    if (worker.pid == 0) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that is killed leaves nobody behind */
        dup2(world->listener, 0);
        dup2(worker.page_fd, PAGE_FD);
        dup2(world->pool_fd, POOL_FD);
        setenv("LD_PRELOAD", list, 1);
        setenv(PAGE_VARIABLE, variable, 1);
        char *copy[8] = {NULL};
        for (size_t i = 0; argv[i]; i++)
            memcpy(&copy[i], &argv[i], sizeof copy[i]);
        execvp(copy[0], copy);
        _exit(127);
    }
    setpgid(worker.pid, worker.pid);
    return worker;
}

static inline struct worker spawn_with(const struct world *world, const char *const *argv,
                                       const char *preload)
{
    return spawn_on(world, world, argv, preload);
}

#define SPAWN(world, ...) spawn_with(world, (const char *const[]){__VA_ARGS__, NULL}, NULL)

static inline int waiting(const struct worker *worker)
{
    int count = 0;
    for (size_t i = 0; i < PAGE_ACCEPTORS; i++)
        count += worker->page->acceptors[i].pid && worker->page->acceptors[i].waiting;
    return count;
}

/* Connections in a state; PAGE_FREE: in any. */
static inline int connections(const struct worker *worker, enum page_state state)
{
    int count = 0;
    for (size_t i = 0; i < PAGE_CONNECTIONS; i++) {
        enum page_state now = worker->page->connections[i].state;
        count += now != PAGE_FREE && (state == PAGE_FREE || state == now);
    }
    return count;
}

static inline const struct page_connection *only_connection(const struct worker *worker)
{
    for (size_t i = 0; i < PAGE_CONNECTIONS; i++) {
        if (worker->page->connections[i].state != PAGE_FREE)
            return &worker->page->connections[i];
    }
    return NULL;
}

static inline uint64_t served(const struct worker *worker)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < PAGE_BUCKETS; i++)
        sum += worker->page->service[i];
    return sum;
}

static inline void worker_close(struct worker *worker)
{
    munmap(worker->page, PAGE_BYTES);
    close(worker->page_fd);
}

static inline void worker_kill(struct worker *worker)
{
    (void)kill(-worker->pid, SIGKILL);
    (void)waitpid(worker->pid, NULL, 0);
    worker_close(worker);
}

/* As the master does it: to the threads that wait for a connection, or for a request on a kept one. */
static inline void wake_waiting(const struct worker *worker)
{
    for (size_t i = 0; i < PAGE_ACCEPTORS; i++) {
        const struct page_acceptor *row = &worker->page->acceptors[i];
        if (row->pid > 0 && row->waiting)
            (void)syscall(SYS_tgkill, row->pid, row->tid, PAGE_DRAIN_SIGNAL);
    }
    for (size_t i = 0; i < PAGE_CONNECTIONS; i++) {
        const struct page_connection *row = &worker->page->connections[i];
        if (row->state == PAGE_KEPT)
            (void)syscall(SYS_tgkill, row->pid, row->tid, PAGE_DRAIN_SIGNAL);
    }
}

static inline void order_drain(const struct worker *worker)
{
    __atomic_store_n(&worker->page->orders.drain, 1, __ATOMIC_SEQ_CST);
    wake_waiting(worker);
}

/* As the master does it: SIGURG to those that wait, SIGTERM when all is quiet. Returns the wait status. */
static inline int worker_drain(struct worker *worker)
{
    int status;
    int64_t quiet = 0, until = now_ms() + DEADLINE_MS;
    bool ended = false;
    __atomic_store_n(&worker->page->orders.drain, 1, __ATOMIC_SEQ_CST);
    while (waitpid(worker->pid, &status, WNOHANG) == 0) {
        if (now_ms() > until)
            fail_msg("the drain does not end");
        wake_waiting(worker);
        bool is_quiet = worker->page->report.drained && !waiting(worker) && !connections(worker, PAGE_FREE);
        quiet = !is_quiet ? 0 : quiet ? quiet : now_ms();
        if (quiet && !ended && (worker->page->report.flags & PAGE_NESTED || now_ms() - quiet > 100)) {
            ended = true;
            (void)kill(-worker->pid, SIGTERM);
        }
        pause_ms(1);
    }
    (void)kill(-worker->pid, SIGKILL);
    worker_close(worker);
    return status;
}

/* ---- the client ---- */

static inline int dial(const struct world *world)
{
    int fd = socket(world->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval limit = {.tv_sec = DEADLINE_MS / 1000};
    assert_int_equal(connect(fd, (const struct sockaddr *)&world->address, world->address_length), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    return fd;
}

/* The bytes of a GET for `uri`. */
static inline size_t request(const char *uri, uint8_t flags, uint8_t *ret_bytes, size_t size)
{
    struct fcgi_client client;
    struct bytes body = {0};
    const char *query = strchr(uri, '?');
    const char *texts[][2] = {
        {"REQUEST_METHOD", "GET"}, {"REQUEST_URI", uri}, {"QUERY_STRING", query ? query + 1 : ""}};
    struct pair params[3];
    for (size_t i = 0; i < 3; i++) {
        params[i].name = (struct bytes){(const uint8_t *)texts[i][0], strlen(texts[i][0])};
        params[i].value = (struct bytes){(const uint8_t *)texts[i][1], strlen(texts[i][1])};
    }
    assert_int_equal(fcgi_client_init(&client, params, 3, flags), WIRE_FAULT_NONE);
    size_t length = 0, more;
    while ((more = fcgi_client_send(&client, &body, true, ret_bytes + length, size - length)) > 0)
        length += more;
    assert_true(fcgi_client_sent(&client));
    return length;
}

/* Reads one answer. Returns the length of its body, or -1 when it is cut. */
static inline ssize_t read_answer(int fd, char *ret_text, size_t size)
{
    struct fcgi_client client;
    uint8_t chunk[4096];
    size_t length = 0;
    ssize_t got;
    assert_int_equal(fcgi_client_init(&client, NULL, 0, 0), WIRE_FAULT_NONE);
    while ((got = read(fd, chunk, sizeof chunk)) > 0) {
        struct bytes input = {chunk, (size_t)got}, piece;
        for (;;) {
            enum fcgi_client_event event = fcgi_client_receive(&client, &input, &piece);
            if (event == FCGI_CLIENT_END)
                return (ssize_t)length;
            if (event == FCGI_CLIENT_FAULT)
                return -1;
            if (event == FCGI_CLIENT_MORE)
                break;
            for (size_t i = 0; event == FCGI_CLIENT_STDOUT && i < piece.length && length + 1 < size; i++)
                ret_text[length++] = (char)piece.data[i];
            ret_text[length] = '\0';
        }
    }
    return -1;
}

/* One request on a connection of its own. Returns as read_answer. */
static inline ssize_t get(const struct world *world, const char *uri, char *ret_text, size_t size)
{
    uint8_t bytes[4096];
    size_t length = request(uri, 0, bytes, sizeof bytes);
    int fd = dial(world);
    ssize_t got = -1;
    if (send(fd, bytes, length, MSG_NOSIGNAL) == (ssize_t)length)
        got = read_answer(fd, ret_text, size);
    close(fd);
    return got;
}

static inline bool is_served(const struct world *world, const char *uri)
{
    char text[16384];
    return get(world, uri, text, sizeof text) > 0;
}

#endif
