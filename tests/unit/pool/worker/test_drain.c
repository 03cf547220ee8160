/*
 * The drain: an idle worker leaves at once, a busy one after its answer, and under a load that never pauses
 * no request is lost, whatever the worker's way.
 */
#include "preload_world.h"

#include <poll.h>
#include <pthread.h>

#define CLIENTS 3

static struct world world;

static int setup(void **state)
{
    (void)state;
    world_open(&world);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_close(&world);
    return 0;
}

static void an_idle_worker_leaves(void **state)
{
    struct worker worker = SPAWN(&world, WORKERS "/echo_fcgx");
    (void)state;
    WAIT(waiting(&worker) == 1);
    assert_int_equal(worker_drain(&worker), 0);
    assert_int_equal(world.pool->idle, 0);
}

/* The flag alone does for one that has yet to accept. */
static void a_starting_worker_leaves(void **state)
{
    struct worker worker = SPAWN(&world, "sh", "-c", "sleep 0.1; exec " TEST_WAYS " plain");
    (void)state;
    assert_int_equal(worker_drain(&worker), 0);
}

/* As the master does it that has seen the worker wait, and comes to it only now. */
static void signal_late(const struct worker *worker)
{
    const struct page_acceptor *row = &worker->page->acceptors[0];
    assert_int_equal(syscall(SYS_tgkill, row->pid, row->tid, PAGE_DRAIN_SIGNAL), 0);
}

static bool is_asleep(pid_t pid)
{
    char name[64], text[512];
    (void)snprintf(name, sizeof name, "/proc/%d/stat", pid);
    FILE *file = fopen(name, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return strstr(text, ") S ") != NULL;
}

/* An order and its signals that come while a connection is in hand reach no request. */
static void answers_in_the_drain(const char *const argv[3], ssize_t least)
{
    uint8_t bytes[4096];
    char text[4096];
    size_t length = request("/late?n=2000&delay=100&slow=100", 0, bytes, sizeof bytes);
    struct worker worker = spawn_with(&world, argv, NULL);
    WAIT(waiting(&worker) == 1);
    __atomic_store_n(&worker.page->orders.drain, 1, __ATOMIC_SEQ_CST);
    int fd = dial(&world);
    WAIT(connections(&worker, PAGE_CONNECTED) == 1 && !waiting(&worker) && is_asleep(worker.pid));
    signal_late(&worker);
    WAIT(is_asleep(worker.pid)); /* again, if the signal has woken it */
    assert_int_equal(send(fd, bytes, length, 0), (ssize_t)length);
    WAIT(connections(&worker, PAGE_BUSY) == 1 || served(&worker) == 1);
    signal_late(&worker);
    assert_true(read_answer(fd, text, sizeof text) >= least);
    close(fd);
    assert_int_equal(worker_drain(&worker), 0);
}

static void a_busy_worker_answers_first(void **state)
{
    (void)state;
    answers_in_the_drain((const char *const[]){WORKERS "/echo_fcgx", NULL, NULL}, 2001);
    answers_in_the_drain((const char *const[]){WORKERS "/echo_stdio", NULL, NULL}, 2001);
    answers_in_the_drain((const char *const[]){TEST_WAYS, "brackets", NULL}, 1);
}

static void programs_are_started_with_nothing_held(void **state)
{
    struct worker worker = SPAWN(&world, TEST_WAYS, "born");
    uint8_t bytes[1024];
    char text[1024];
    size_t length = request("/any", 0, bytes, sizeof bytes);
    (void)state;
    WAIT(waiting(&worker) == 1);
    __atomic_store_n(&worker.page->orders.drain, 1, __ATOMIC_SEQ_CST);
    int fd = dial(&world);
    assert_int_equal(send(fd, bytes, length, 0), (ssize_t)length);
    assert_true(read_answer(fd, text, sizeof text) > 0);
    assert_string_equal(text, "SigBlk:\t0000000000000000\n");
    close(fd);
    assert_int_equal(worker_drain(&worker), 0);
}

static bool has_answer(int fd)
{
    struct pollfd client = {.fd = fd, .events = POLLIN};
    return poll(&client, 1, 1) == 1;
}

/* An event-driven one answers all that it has, sees no listener meanwhile, finds its own calls as it left
 * them, and leaves. */
static void an_event_driven_worker_answers_first(void **state)
{
    static const char *const waits[] = {"poll",  "ppoll",       "select",      "pselect",
                                        "epoll", "epoll_pwait", "epoll_rearm", "epoll_leave"};
    uint8_t bytes[4096];
    char text[4096];
    size_t length = request("/late", 0, bytes, sizeof bytes);
    (void)state;
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        int fds[5];
        struct worker worker = SPAWN(&world, TEST_EVENTS, waits[i], "100");
        for (int j = 0; j < 5; j++) {
            fds[j] = dial(&world);
            assert_int_equal(send(fds[j], bytes, length, 0), (ssize_t)length);
        }
        WAIT(connections(&worker, PAGE_BUSY) == 5);
        order_drain(&worker);
        WAIT(worker.page->report.drained == 1);
        do
            assert_int_equal(kill(worker.pid, SIGUSR1), 0); /* its own, amid its waits */
        while (!has_answer(fds[0]));
        for (int j = 0; j < 5; j++) {
            assert_true(read_answer(fds[j], text, sizeof text) > 0);
            close(fds[j]);
        }
        assert_int_equal(worker_drain(&worker), 0);
    }
}

/* A kept connection that rests goes soon, one that is used after its next answer. */
static void kept_connections_end(void **state)
{
    uint8_t bytes[4096], byte;
    char text[4096];
    size_t length = request("/kept", FCGI_KEEP_CONN, bytes, sizeof bytes);
    static const char *const workers[][3] = {{TEST_EVENTS, "epoll", NULL}, {WORKERS "/echo_fcgx", NULL}};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        bool used = i % 2;
        struct worker worker = spawn_with(&world, workers[i / 2], NULL);
        int fd = dial(&world);
        assert_int_equal(send(fd, bytes, length, 0), (ssize_t)length);
        assert_true(read_answer(fd, text, sizeof text) >= 0);
        WAIT(connections(&worker, PAGE_KEPT) == 1);
        order_drain(&worker);
        if (used) {
            assert_int_equal(send(fd, bytes, length, MSG_NOSIGNAL), (ssize_t)length);
            assert_true(read_answer(fd, text, sizeof text) >= 0);
            assert_int_equal(read(fd, &byte, 1), 0);
        }
        assert_int_equal(worker_drain(&worker), 0);
        assert_true(used || read(fd, &byte, 1) == 0);
        close(fd);
    }
}

/* Also where the threads that read them never accept. */
static void a_kept_connection_of_a_boss_ends(void **state)
{
    uint8_t bytes[4096], byte;
    char text[4096], name[64];
    size_t length = request("/kept", FCGI_KEEP_CONN, bytes, sizeof bytes);
    struct worker worker = SPAWN(&world, TEST_WAYS, "boss");
    int fd = dial(&world);
    (void)state;
    assert_int_equal(send(fd, bytes, length, 0), (ssize_t)length);
    assert_true(read_answer(fd, text, sizeof text) >= 0);
    WAIT(connections(&worker, PAGE_KEPT) == 1);
    (void)snprintf(name, sizeof name, "/proc/%d/task/%d", worker.pid, only_connection(&worker)->tid);
    assert_int_equal(access(name, F_OK), 0);
    assert_int_not_equal(only_connection(&worker)->tid, worker.pid);
    assert_int_equal(worker_drain(&worker), 0);
    assert_int_equal(read(fd, &byte, 1), 0);
    close(fd);
}

/* All threads are woken at once; one of them replaces the listener, and the others have to wait for that. */
static void threads_leave_however_slow_the_swap(void **state)
{
    static const char *const ways[] = {"threads", "polling-threads", "epoll-threads"};
    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct worker worker = spawn_with(&world, (const char *const[]){TEST_WAYS, ways[i], NULL}, SLOW_SWAP);
        WAIT(waiting(&worker) == 4);
        assert_int_equal(worker_drain(&worker), 0);
        assert_int_equal(world.pool->idle, 0);
    }
}

/* It would close its connection after the next accept: neither does it look busy meanwhile, nor is it waited
 * for when there is no next one. */
static void a_worker_that_closes_late_leaves(void **state)
{
    struct worker worker = SPAWN(&world, TEST_WAYS, "late");
    char text[2];
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_true(is_served(&world, "/any"));
    WAIT(waiting(&worker) == 1);
    assert_int_equal(connections(&worker, PAGE_FINISHING), 1);
    assert_int_equal(served(&worker), 3);
    assert_int_equal(worker_drain(&worker), 0);

    worker = SPAWN(&world, TEST_WAYS, "late-unknown");
    int fd = dial(&world);
    assert_int_equal(send(fd, "?", 1, 0), 1);
    assert_int_equal(recv(fd, text, sizeof text, MSG_WAITALL), 2);
    close(fd);
    WAIT(waiting(&worker) == 1);
    assert_int_equal(worker_drain(&worker), 0);
}

/* It takes EINVAL for ever: there is an end to that. */
static void a_worker_that_retries_leaves(void **state)
{
    struct worker worker = SPAWN(&world, TEST_WAYS, "retry");
    (void)state;
    WAIT(waiting(&worker) == 1);
    assert_int_equal(worker_drain(&worker), 0);
}

static void a_worker_that_masks_signals_leaves(void **state)
{
    struct worker worker = SPAWN(&world, TEST_WAYS, "masks");
    (void)state;
    assert_true(is_served(&world, "/any"));
    WAIT(waiting(&worker) == 1);
    assert_int_equal(worker_drain(&worker), 0);
}

/* Children that would be forked again wait for the end of the group, all of them. */
static void forked_acceptors_wait_for_the_end(void **state)
{
    struct worker worker = SPAWN(&world, TEST_WAYS, "children");
    (void)state;
    WAIT(waiting(&worker) == 2);
    order_drain(&worker);
    WAIT(worker.page->report.drained == 2 && worker.page->report.flags & PAGE_NESTED);
    assert_int_equal(WTERMSIG(worker_drain(&worker)), SIGTERM);
}

/* ---- under load ---- */

static bool stop;
static unsigned long answered, lost;

static void *load(void *uri)
{
    while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST))
        __atomic_add_fetch(is_served(&world, uri) ? &answered : &lost, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

/* Replaces a worker `drains` times, new before old, under load. */
static void loses_nothing(unsigned drains, const char *program, const char *argument, const char *uri)
{
    const char *argv[] = {program, argument, strcmp(program, TEST_EVENTS) == 0 ? "2" : NULL, "nonblock",
                          NULL};
    char asked[64];
    pthread_t clients[CLIENTS];
    uint64_t counted = 0;
    struct worker worker = spawn_with(&world, argv, NULL);
    WAIT(worker.page->report.accepted_pid != 0);
    (void)snprintf(asked, sizeof asked, "%s", uri);
    stop = false;
    answered = lost = 0;
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_create(&clients[i], NULL, load, asked), 0);
    for (unsigned i = 0; i < drains; i++) {
        struct worker next = spawn_with(&world, argv, NULL);
        WAIT(next.page->report.accepted_pid != 0);
        struct page *page = mmap(NULL, PAGE_BYTES, PROT_READ, MAP_SHARED, worker.page_fd, 0);
        assert_true(page != MAP_FAILED);
        (void)worker_drain(&worker);
        counted += page->report.requests;
        munmap(page, PAGE_BYTES);
        worker = next;
    }
    __atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(clients[i], NULL);
    counted += worker.page->report.requests;
    worker_kill(&worker);
    assert_int_equal(lost, 0);
    assert_true(answered > drains);
    assert_int_equal(counted, answered);
}

static void nothing_is_lost_under_load(void **state)
{
    (void)state;
    loses_nothing(100, WORKERS "/echo_fcgx", NULL, "/any?n=3000");
    loses_nothing(30, WORKERS "/echo_fcgx", NULL, "/any?n=3000&slow=8");
    loses_nothing(30, WORKERS "/echo_stdio", NULL, "/any?n=3000");
    loses_nothing(30, TEST_EVENTS, "poll", "/any");
    loses_nothing(30, TEST_EVENTS, "select", "/any");
    loses_nothing(30, TEST_EVENTS, "epoll", "/any");
    loses_nothing(30, TEST_WAYS, "threads", "/any");
    loses_nothing(30, TEST_WAYS, "handover", "/any");
    loses_nothing(30, TEST_WAYS, "children", "/any");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_idle_worker_leaves, setup, teardown),
        cmocka_unit_test_setup_teardown(a_starting_worker_leaves, setup, teardown),
        cmocka_unit_test_setup_teardown(a_busy_worker_answers_first, setup, teardown),
        cmocka_unit_test_setup_teardown(programs_are_started_with_nothing_held, setup, teardown),
        cmocka_unit_test_setup_teardown(an_event_driven_worker_answers_first, setup, teardown),
        cmocka_unit_test_setup_teardown(kept_connections_end, setup, teardown),
        cmocka_unit_test_setup_teardown(a_kept_connection_of_a_boss_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(threads_leave_however_slow_the_swap, setup, teardown),
        cmocka_unit_test_setup_teardown(a_worker_that_closes_late_leaves, setup, teardown),
        cmocka_unit_test_setup_teardown(a_worker_that_retries_leaves, setup, teardown),
        cmocka_unit_test_setup_teardown(a_worker_that_masks_signals_leaves, setup, teardown),
        cmocka_unit_test_setup_teardown(forked_acceptors_wait_for_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_lost_under_load, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
