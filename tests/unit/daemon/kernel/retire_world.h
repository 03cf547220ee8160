/*
 * A small pool for the tests of retirement: a listener, workers that are forked children which behave and
 * misbehave in various ways and live until they are killed, and clients that count what was answered.
 */
#ifndef FCGIPOOL_TESTS_RETIRE_WORLD_H
#define FCGIPOOL_TESTS_RETIRE_WORLD_H

#include "daemon/kernel/look.h"
#include "daemon/kernel/proc.h"
#include "daemon/kernel/retire.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define DEADLINE_MS 20000

static char directory[64];
static struct listener pool, database; /* where workers accept; where one of them is a client */

/* --- the worker's side --- */

/* Reads a request (a line), waits for what the line asks for, answers and closes. */
static inline void answer(int connection)
{
    char byte = 0;
    while (byte != '\n' && read(connection, &byte, 1) == 1)
        ;
    if (byte == '\n')
        (void)!write(connection, "done\n", 5);
    close(connection);
}

static inline void *serve(void *ignored)
{
    for (;;) {
        int connection = accept(pool.fd, NULL, NULL);
        if (connection >= 0)
            answer(connection);
    }
    return ignored;
}

static inline void work_serial(void)
{
    serve(NULL);
}

static inline void work_threads(void)
{
    pthread_t thread;
    for (int i = 0; i < 3; i++)
        pthread_create(&thread, NULL, serve, NULL);
    serve(NULL);
}

static inline void work_without_main_thread(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, serve, NULL);
    pthread_exit(NULL);
}

/* The child has the connection; the worker itself is back in accept. */
static inline void work_by_children(void)
{
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int connection = accept(pool.fd, NULL, NULL);
        if (fork() == 0) {
            answer(connection);
            _exit(0);
        }
        close(connection);
    }
}

/* As a pre-forking server: the leader never accepts. */
static inline void work_in_a_child(void)
{
    if (fork() == 0)
        serve(NULL);
    for (;;)
        pause();
}

static inline void work_with_a_database(void)
{
    const struct address *address = &database.address;
    int fd = socket(address->storage.ss_family, SOCK_STREAM, 0), ends[2];
    if (connect(fd, (const struct sockaddr *)&address->storage, address->length) != 0 ||
        socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        _exit(1);
    serve(NULL);
}

static inline void work_poll(void)
{
    for (;;) {
        struct pollfd wait = {.fd = pool.fd, .events = POLLIN};
        if (poll(&wait, 1, -1) == 1)
            answer(accept(pool.fd, NULL, NULL));
    }
}

static inline void work_elsewhere(void)
{
    for (;;)
        close(accept(database.fd, NULL, NULL));
}

static inline void work_never(void)
{
    for (;;)
        pause();
}

/* Waits for its vfork child in a sleep that no SIGSTOP interrupts. */
static inline void work_unstoppable(void)
{
    if (vfork() == 0)
        for (;;)
            pause();
}

/* --- the master's side --- */

static inline int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Tries until `condition` holds; it fails the test after the deadline. */
#define WAIT_UNTIL(condition)                                                                                \
    do {                                                                                                     \
        int64_t deadline_ms = now_ms() + DEADLINE_MS;                                                        \
        while (!(condition)) {                                                                               \
            assert_true(now_ms() < deadline_ms);                                                             \
            poll(NULL, 0, 1);                                                                                \
        }                                                                                                    \
    } while (0)

static inline struct listener open_at(const char *text)
{
    struct problem problem = {0};
    struct listener listener = LISTENER_INIT;
    struct listener_options options = {.backlog = 64, .mode = 0666, .owner = (uid_t)-1, .group = (gid_t)-1};
    if (address_parse(text, &options.address, &problem) != 0 ||
        listener_open(&options, &listener, &problem) != 0)
        fail_msg("%s", problem.text);
    return listener;
}

static inline int setup(const char *kind)
{
    char text[128];
    strcpy(directory, "/tmp/fcgipool-retire-XXXXXX");
    if (mkdtemp(directory) == NULL)
        return -1;
    (void)snprintf(text, sizeof text, "unix:%s/pool.sock", directory);
    pool = open_at(kind != NULL ? kind : text);
    (void)snprintf(text, sizeof text, "unix:%s/database.sock", directory);
    database = open_at(text);
    return prctl(PR_SET_CHILD_SUBREAPER, 1);
}

static inline int setup_unix(void **state)
{
    (void)state;
    return setup(NULL);
}

static inline int setup_tcp(void **state)
{
    (void)state;
    return setup("127.0.0.1:0");
}

static inline int setup_star(void **state)
{
    (void)state;
    return setup("*:0");
}

static inline int teardown(void **state)
{
    (void)state;
    listener_close(&pool);
    listener_close(&database);
    return rmdir(directory);
}

static inline pid_t start(void (*work)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setpgid(0, 0);
        work();
        _exit(0);
    }
    setpgid(pid, pid);
    return pid;
}

static inline bool serves(pid_t pid, const struct listener *listener, bool *ret_unreadable)
{
    struct look look = {.listener = listener};
    bool result = look_serves(&look, pid, ret_unreadable);
    look_fini(&look);
    return result;
}

static inline bool accepting(pid_t pid)
{
    bool unreadable;
    return serves(pid, &pool, &unreadable);
}

static inline pid_t start_ready(void (*work)(void))
{
    pid_t pid = start(work);
    WAIT_UNTIL(accepting(pid));
    return pid;
}

/* The worker and all that it left behind must have died of SIGKILL. */
static inline void assert_killed(pid_t group)
{
    int status = 0;
    assert_int_equal(waitpid(group, &status, 0), group);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
    while (waitpid(-group, NULL, 0) > 0)
        ;
    assert_int_equal(kill(-group, 0), -1);
}

static inline void end(pid_t group)
{
    assert_int_equal(kill(-group, SIGKILL), 0);
    while (waitpid(-group, NULL, 0) > 0)
        ;
}

/* Attempts until all are DONE or the time is over. */
static inline bool retire_within(struct retirement *const *retirements, size_t count, int limit_ms)
{
    int64_t end_ms = now_ms() + limit_ms;
    int delay_ms;
    while ((delay_ms = retire_tick(retirements, count, &pool, now_ms())) >= 0 && now_ms() < end_ms) {
        assert_true(delay_ms >= 1 && delay_ms <= 10);
        poll(NULL, 0, delay_ms);
    }
    return delay_ms < 0;
}

static inline bool retire_one(struct retirement *r, int limit_ms)
{
    return retire_within(&r, 1, limit_ms);
}

static inline bool runs(pid_t pid)
{
    enum proc_state state;
    return proc_state(pid, &state) == 0 && state == PROC_RUNNING;
}

static inline bool stopped(pid_t pid)
{
    enum proc_state state;
    return proc_state(pid, &state) == 0 && state == PROC_STOPPED;
}

/* The member of the group that is not its leader; 0 while there is none. */
static inline pid_t child_of(pid_t group)
{
    struct proc_table table = PROC_TABLE_INIT;
    const struct proc_entry *members;
    assert_int_equal(proc_table_read(&table), 0);
    size_t count = proc_table_group(&table, group, &members);
    pid_t child = count < 2 ? 0 : members[0].pid == group ? members[1].pid : members[0].pid;
    proc_table_fini(&table);
    return child;
}

/* --- the client's side --- */

static inline int connect_to_pool(void)
{
    int fd = socket(pool.address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (const struct sockaddr *)&pool.address.storage, pool.address.length) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Ends the request that `fd` has begun; true when it was answered in full. */
static inline bool finish_request(int fd)
{
    char text[8] = "";
    size_t length = 0;
    ssize_t got = -1;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    bool sent = send(fd, "\n", 1, MSG_NOSIGNAL) == 1;
    while (sent && poll(&wait, 1, DEADLINE_MS) == 1) {
        got = read(fd, text + length, sizeof text - 1 - length);
        if (got <= 0)
            break;
        length += (size_t)got;
    }
    close(fd);
    return got == 0 && strcmp(text, "done\n") == 0;
}

static inline int queued(void)
{
    uint32_t now = 99, limit;
    assert_int_equal(listener_queue(&pool, &now, &limit), 0);
    return (int)now;
}

/* A request that has begun, accepted by somebody. */
static inline int begin_request(void)
{
    int client = connect_to_pool();
    assert_true(client >= 0);
    WAIT_UNTIL(queued() == 0);
    assert_int_equal(write(client, "GET", 3), 3);
    return client;
}

#endif
