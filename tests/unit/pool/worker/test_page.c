/*
 * The page as a worker writes it under the library: what it is seen to do, whatever its way, and what its
 * children find of us.
 */
#include "preload_world.h"

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

static void tells_each_phase(void **state)
{
    uint8_t bytes[4096];
    char text[4096];
    size_t length = request("/report?n=5&delay=300", 0, bytes, sizeof bytes);
    struct worker worker = SPAWN(&world, WORKERS "/echo_fcgx");
    (void)state;
    WAIT(waiting(&worker) == 1 && world.pool->idle == 1);
    assert_int_equal(worker.page->report.attached_pid, worker.pid);
    assert_int_equal(worker.page->report.accepted_pid, worker.pid);
    assert_true(worker.page->report.accepted_ns != 0);

    int fd = dial(&world);
    WAIT(connections(&worker, PAGE_CONNECTED) == 1);
    assert_int_equal(waiting(&worker), 0);
    assert_int_equal(world.pool->idle, 0);
    assert_int_equal(send(fd, bytes, 30, 0), 30);
    assert_int_equal(send(fd, bytes + 30, length - 30, 0), (ssize_t)(length - 30));
    WAIT(connections(&worker, PAGE_BUSY) == 1);
    const struct page_connection *row = only_connection(&worker);
    assert_string_equal(row->method, "GET");
    assert_string_equal(row->uri, "/report?n=5&delay=300");
    assert_int_equal(row->pid, worker.pid);
    assert_int_equal(row->requests, 1);
    assert_true(row->request_ns != 0 && row->since_ns == row->request_ns);
    assert_int_equal(row->seq % 2, 0);
    assert_int_equal(served(&worker), 0);

    assert_true(read_answer(fd, text, sizeof text) > 0);
    WAIT(connections(&worker, PAGE_FINISHING) == 1);
    close(fd);
    WAIT(connections(&worker, PAGE_FREE) == 0 && waiting(&worker) == 1);
    assert_int_equal(worker.page->report.requests, 1);
    assert_int_equal(served(&worker), 1);
    for (unsigned i = 0; i < page_bucket(290000); i++)
        assert_int_equal(worker.page->service[i], 0);
    worker_kill(&worker);
}

static void tells_of_a_kept_connection(void **state)
{
    uint8_t bytes[4096];
    char text[4096];
    size_t length = request("/kept", FCGI_KEEP_CONN, bytes, sizeof bytes);
    struct worker worker = SPAWN(&world, WORKERS "/echo_fcgx");
    int fd = dial(&world);
    (void)state;
    for (uint32_t i = 1; i <= 3; i++) {
        assert_int_equal(send(fd, bytes, length, 0), (ssize_t)length);
        assert_true(read_answer(fd, text, sizeof text) >= 0);
        WAIT(connections(&worker, PAGE_KEPT) == 1);
        assert_int_equal(only_connection(&worker)->requests, i);
        assert_int_equal(served(&worker), i);
    }
    close(fd);
    WAIT(connections(&worker, PAGE_FREE) == 0);
    assert_int_equal(worker.page->report.requests, 3);
    worker_kill(&worker);
}

/* `argv` serves ten requests, `acceptors` threads or processes of it accept. */
static void serves(int acceptors, const char *program, const char *argument)
{
    const char *argv[] = {program, argument, NULL};
    struct worker worker = spawn_with(&world, argv, NULL);
    for (int i = 0; i < 10; i++)
        assert_true(is_served(&world, "/any"));
    WAIT(waiting(&worker) == acceptors);
    assert_int_equal(worker.page->report.requests, 10);
    WAIT(connections(&worker, PAGE_FREE) == 0 && served(&worker) == 10);
    assert_int_equal(world.pool->idle, acceptors);
    worker_kill(&worker);
    world.pool->idle = 0;
}

static void counts_whatever_the_way(void **state)
{
    static const char *const ways[] = {"plain", "vector", "stdio", "copy",
                                       "vfork", "moved",  "retry", "handover"};
    static const char *const waits[] = {"poll", "ppoll", "select", "pselect", "epoll", "epoll_pwait"};
    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        serves(1, TEST_WAYS, ways[i]);
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++)
        serves(1, TEST_EVENTS, waits[i]);
    serves(4, TEST_WAYS, "threads");
    serves(2, TEST_WAYS, "children");
}

/* Who answers has a request in hand, however it was read. */
static void an_answer_tells_of_an_unseen_request(void **state)
{
    uint8_t bytes[4096];
    char text[64];
    size_t length = request("/unseen", 0, bytes, sizeof bytes);
    struct worker worker = SPAWN(&world, TEST_WAYS, "unread");
    int fd = dial(&world);
    (void)state;
    assert_int_equal(send(fd, bytes, length, 0), (ssize_t)length);
    assert_true(read_answer(fd, text, sizeof text) > 0);
    WAIT(connections(&worker, PAGE_BUSY) == 1);
    assert_int_equal(worker.page->report.requests, 1);
    close(fd);
    WAIT(connections(&worker, PAGE_FREE) == 0);
    assert_int_equal(served(&worker), 1);
    worker_kill(&worker);
}

/* TCP throws away what is read without room: nothing of it is seen, and nothing else is taken for it. */
static void what_is_discarded_is_not_seen(void **state)
{
    static const uint8_t flags[] = {0, FCGI_KEEP_CONN};
    uint8_t bytes[4096];
    char text[64];
    (void)state;
    for (size_t i = 0; i < sizeof flags; i++) {
        struct world other = world;
        size_t length = request("/unseen", flags[i], bytes, sizeof bytes);
        listen_tcp(&other);
        struct worker worker = SPAWN(&other, TEST_WAYS, "discard");
        int fd = dial(&other);
        assert_int_equal(send(fd, bytes, length, 0), (ssize_t)length);
        assert_true(read_answer(fd, text, sizeof text) > 0);
        assert_int_equal(connections(&worker, PAGE_BUSY), 1);
        assert_string_equal(only_connection(&worker)->uri, "");
        close(fd);
        WAIT(connections(&worker, PAGE_FREE) == 0 && waiting(&worker) == 1);
        assert_int_equal(worker.page->report.requests, 1);
        worker_kill(&worker);
        close(other.listener);
    }
}

/* Until the client has taken it, the answer is in hand. */
static void a_stream_is_closed_when_it_is_flushed(void **state)
{
    uint8_t bytes[4096];
    char chunk[65536];
    size_t length = request("/flush", 0, bytes, sizeof bytes);
    struct worker worker = SPAWN(&world, TEST_WAYS, "flush");
    int fd = dial(&world);
    (void)state;
    assert_int_equal(send(fd, bytes, length, 0), (ssize_t)length);
    assert_int_equal(recv(fd, chunk, 1, 0), 1);
    assert_int_equal(connections(&worker, PAGE_BUSY), 1);
    while (recv(fd, chunk, sizeof chunk, 0) > 0)
        continue;
    WAIT(connections(&worker, PAGE_FREE) == 0);
    close(fd);
    worker_kill(&worker);
}

/* The first number is closed, the request comes over the second. */
static void tells_the_descriptor_that_is_left(void **state)
{
    uint8_t bytes[4096];
    char name[64];
    size_t length = request("/copy", 0, bytes, sizeof bytes) - FCGI_HEADER_LENGTH; /* the end is missing */
    struct worker worker = SPAWN(&world, TEST_WAYS, "copy");
    int fd = dial(&world);
    (void)state;
    assert_int_equal(send(fd, bytes, length, 0), (ssize_t)length);
    WAIT(connections(&worker, PAGE_BUSY) == 1);
    (void)snprintf(name, sizeof name, "/proc/%d/fd/%d", worker.pid, only_connection(&worker)->fd);
    assert_int_equal(access(name, F_OK), 0);
    close(fd);
    worker_kill(&worker);
}

/* A number that accept returns again was closed where nobody saw it. */
static void notices_a_close_behind_its_back(void **state)
{
    struct worker worker = SPAWN(&world, TEST_WAYS, "behind");
    (void)state;
    for (int i = 0; i < 10; i++)
        assert_true(is_served(&world, "/any"));
    WAIT(waiting(&worker) == 1);
    assert_true(connections(&worker, PAGE_FREE) <= 1);
    assert_int_equal(worker_drain(&worker), 0);
}

/* The flag belongs to the listener of all: who has not asked for it must not find it. */
static void a_foreign_nonblocking_listener_is_asked_for(void **state)
{
    char text[64];
    struct worker worker;
    (void)state;
    assert_int_equal(fcntl(world.listener, F_SETFL, O_NONBLOCK), 0);
    worker = SPAWN(&world, TEST_WAYS, "unblock");
    WAIT(waiting(&worker) == 1);
    assert_true(get(&world, "/any", text, sizeof text) > 0);
    assert_string_equal(text, "did not block");
    worker_kill(&worker);
}

/* EINVAL by itself is no end of the listener; but that the listener is shut is one. */
static void a_wrong_accept_gives_up_nothing(void **state)
{
    struct worker worker = SPAWN(&world, TEST_WAYS, "wrong");
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_true(is_served(&world, "/any"));
    WAIT(waiting(&worker) == 1);
    assert_int_equal(worker.page->report.drained, 0);
    assert_int_equal(shutdown(world.listener, SHUT_RD), 0);
    WAIT(worker.page->report.drained == 1);
    worker_kill(&worker);
}

static void a_wait_that_cannot_be_is_refused(void **state)
{
    struct worker worker = SPAWN(&world, TEST_WAYS, "invalid");
    (void)state;
    assert_true(is_served(&world, "/any"));
    worker_kill(&worker);
}

/* As it would be without us, though we wait in another way where the listener does not block. */
static void a_signal_ends_an_accept(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fcntl(world.listener, F_SETFL, i ? O_NONBLOCK : 0), 0);
        struct worker worker = SPAWN(&world, TEST_WAYS, "interrupted");
        int status;
        WAIT(waitpid(worker.pid, &status, WNOHANG) == worker.pid);
        assert_int_equal(status, 0);
        worker_close(&worker);
    }
}

static void wrappers_do_not_hide_the_worker(void **state)
{
    struct worker worker = SPAWN(&world, "sh", "-c", "exec " TEST_WAYS " plain");
    (void)state;
    assert_true(is_served(&world, "/any"));
    assert_int_equal(worker.page->report.accepted_pid, worker.pid);
    worker_kill(&worker);
    worker = SPAWN(&world, "sh", "-c", TEST_WAYS " plain; true");
    assert_true(is_served(&world, "/any"));
    assert_true(worker.page->report.accepted_pid != 0 && worker.page->report.accepted_pid != worker.pid);
    worker_kill(&worker);
}

static void numbers_may_be_high(void **state)
{
    struct worker worker = SPAWN(&world, TEST_WAYS, "numbers");
    (void)state;
    for (uint64_t i = 1; i <= 12; i++) {
        WAIT(waiting(&worker) == 1 && connections(&worker, PAGE_FREE) == 0);
        assert_true(is_served(&world, "/any"));
        assert_true(worker.page->report.requests >= i - i / 4);
    }
    worker_kill(&worker);
}

static void others_may_call_before_us(void **state)
{
    struct worker worker = spawn_with(&world, (const char *const[]){TEST_WAYS, "plain", NULL}, EARLY_CALLS);
    (void)state;
    assert_true(is_served(&world, "/any"));
    assert_int_equal(worker.page->report.requests, 1);
    worker_kill(&worker);
}

static void children_find_nothing_of_us(void **state)
{
    char text[16384];
    const char *argv[] = {TEST_WAYS, "cgi", NULL};
    struct worker worker = spawn_with(&world, argv, NULL);
    (void)state;
    assert_true(get(&world, "/any", text, sizeof text) > 0);
    assert_non_null(strstr(text, "PATH="));
    assert_null(strstr(text, PAGE_VARIABLE));
    assert_null(strstr(text, "LD_PRELOAD"));
    assert_null(strstr(text, "memfd"));
    assert_non_null(strstr(text, "SigBlk:\t0000000000000000"));
    worker_kill(&worker);

    worker = spawn_with(&world, argv, "libm.so.6");
    assert_true(get(&world, "/any", text, sizeof text) > 0);
    assert_non_null(strstr(text, "LD_PRELOAD=libm.so.6\n"));
    worker_kill(&worker);
}

static void programs_are_started_with_nothing_held(void **state)
{
    static const char line[] = "SigBlk:\t0000000000000000\n";
    char text[1024], *at = text;
    uint8_t bytes[1024];
    size_t length = request("/any", FCGI_KEEP_CONN, bytes, sizeof bytes);
    struct worker worker = SPAWN(&world, TEST_WAYS, "starts");
    int fd = dial(&world);
    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(send(fd, bytes, length, MSG_NOSIGNAL), (ssize_t)length);
        assert_true(read_answer(fd, text, sizeof text) > 0);
    }
    close(fd);
    for (int i = 0; i < 4; i++, at += sizeof line - 1)
        assert_memory_equal(at, line, sizeof line - 1);
    assert_string_equal(at, "held");
    worker_kill(&worker);
}

/* Without our listener, or with a page of another version, the program runs as if we were not there. */
static void is_inert_elsewhere(void **state)
{
    struct world other;
    (void)state;
    world_open(&other);
    struct worker worker = spawn_on(&world, &other, (const char *const[]){TEST_WAYS, "plain", NULL}, NULL);
    assert_true(is_served(&world, "/any"));
    assert_int_equal(worker.page->report.attached_pid, 0);
    worker_kill(&worker);
    world_close(&other);

    uint32_t version = world.pool->version;
    world.pool->version++;
    worker = SPAWN(&world, TEST_WAYS, "plain");
    assert_true(is_served(&world, "/any"));
    assert_int_equal(worker.page->report.attached_pid, 0);
    assert_int_equal(worker.page->report.requests, 0);
    world.pool->version = version;
    worker_kill(&worker);
}

/* What the master was woken for. */
static uint32_t taken(struct page_pool *pool)
{
    return __atomic_exchange_n(&pool->news, 0, __ATOMIC_SEQ_CST);
}

static void wakes_the_master(void **state)
{
    struct page_pool *pool = world.pool;
    struct worker worker = SPAWN(&world, TEST_WAYS, "threads");
    (void)state;
    WAIT(waiting(&worker) == 4);
    assert_int_equal(pool->wake, 1);
    assert_int_equal(taken(pool), PAGE_WAKE_ACCEPTS);
    assert_true(is_served(&world, "/any"));
    assert_int_equal(pool->wake, 1); /* nobody asked */

    __atomic_store_n(&pool->armed, PAGE_WAKE_REQUEST | PAGE_WAKE_ALL_BUSY, __ATOMIC_SEQ_CST);
    assert_true(is_served(&world, "/any"));
    assert_int_equal(pool->wake, 2);
    assert_int_equal(taken(pool), PAGE_WAKE_REQUEST);
    assert_int_equal(pool->armed, PAGE_WAKE_ALL_BUSY);
    WAIT(waiting(&worker) == 4);

    int fds[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pool->wake, 2);
        fds[i] = dial(&world);
        WAIT(waiting(&worker) == 3 - i);
    }
    WAIT(pool->wake == 3 && pool->armed == 0);
    assert_int_equal(taken(pool), PAGE_WAKE_ALL_BUSY);
    for (int i = 0; i < 4; i++)
        close(fds[i]);
    WAIT(waiting(&worker) == 4);

    __atomic_store_n(&worker.page->orders.max_requests, 3, __ATOMIC_SEQ_CST);
    assert_true(is_served(&world, "/any"));
    assert_int_equal(pool->wake, 4); /* the limit; it serves on */
    assert_int_equal(taken(pool), PAGE_WAKE_LIMIT);
    assert_true(is_served(&world, "/any"));
    assert_int_equal(pool->wake, 4);
    worker_kill(&worker);
}

/* More connections than rows: those that are not shown are counted. */
static void overflows(void **state)
{
    int fds[PAGE_CONNECTIONS + 10];
    struct worker worker = SPAWN(&world, TEST_EVENTS, "epoll");
    (void)state;
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        fds[i] = dial(&world);
    WAIT(worker.page->report.overflow == 10);
    assert_int_equal(connections(&worker, PAGE_CONNECTED), PAGE_CONNECTIONS);
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        close(fds[i]);
    WAIT(worker.page->report.overflow == 0 && connections(&worker, PAGE_FREE) == 0);
    worker_kill(&worker);
}

/* More acceptors than rows, or more epoll sets than are looked at: the page says that it does not tell all.
 */
static void who_is_not_listed_is_counted(void **state)
{
    static const char *const ways[] = {"crowd", "epoll-sets"};
    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct worker worker = SPAWN(&world, TEST_WAYS, ways[i]);
        WAIT(waiting(&worker) == PAGE_ACCEPTORS && worker.page->report.unlisted == 70 - PAGE_ACCEPTORS);
        WAIT(world.pool->idle == PAGE_ACCEPTORS);
        worker_kill(&worker);
        world.pool->idle = 0;
    }
}

/* All of a generation take the rows of the one before at the same moment: each has its own. */
static void rows_of_dead_threads_are_taken_once(void **state)
{
    struct worker worker = SPAWN(&world, TEST_WAYS, "generations");
    (void)state;
    for (int i = 0; i < 20; i++) {
        int fds[PAGE_ACCEPTORS];
        WAIT(waiting(&worker) == PAGE_ACCEPTORS);
        WAIT(world.pool->idle == PAGE_ACCEPTORS);
        for (size_t j = 0; j < PAGE_ACCEPTORS; j++)
            fds[j] = dial(&world);
        for (size_t j = 0; j < PAGE_ACCEPTORS; j++) {
            char byte;
            assert_int_equal(recv(fds[j], &byte, 1, 0), 0); /* accepted, and closed */
            close(fds[j]);
        }
    }
    assert_int_equal(worker.page->report.unlisted, 0);
    worker_kill(&worker);
}

/* Whose row is taken over when he was killed in accept waits no more. */
static void the_dead_are_not_idle(void **state)
{
    struct worker worker = SPAWN(&world, TEST_WAYS, "many-children");
    int32_t dead[PAGE_ACCEPTORS];
    (void)state;
    WAIT(waiting(&worker) == PAGE_ACCEPTORS);
    for (size_t i = 0; i < PAGE_ACCEPTORS; i++) {
        dead[i] = worker.page->acceptors[i].pid;
        assert_int_equal(kill(dead[i], SIGKILL), 0);
    }
    for (size_t i = 0; i < PAGE_ACCEPTORS; i++)
        WAIT(worker.page->acceptors[i].pid != dead[i] && worker.page->acceptors[i].waiting);
    WAIT(world.pool->idle == PAGE_ACCEPTORS);
    worker_kill(&worker);
    world.pool->idle = 0;
}

/* Even in the middle of a change of what it tells. */
static void an_exec_leaves_nothing(void **state)
{
    struct worker worker = SPAWN(&world, "sh", "-c", "kill -STOP $$; exec " TEST_WAYS " plain");
    struct page_connection *row = &worker.page->connections[3];
    int status;
    (void)state;
    assert_int_equal(waitpid(worker.pid, &status, WUNTRACED), worker.pid);
    *row = (struct page_connection){.seq = 7, .state = PAGE_BUSY, .pid = worker.pid, .tid = worker.pid};
    worker.page->acceptors[5] = (struct page_acceptor){.pid = worker.pid, .tid = worker.pid, .waiting = 1};
    world.pool->idle = 1;
    assert_int_equal(kill(worker.pid, SIGCONT), 0);
    WAIT(worker.page->acceptors[0].waiting == 1);
    assert_int_equal(row->state, PAGE_FREE);
    assert_int_equal(row->seq % 2, 0);
    assert_int_equal(worker.page->acceptors[5].pid, 0);
    WAIT(world.pool->idle == 1);
    worker_kill(&worker);
}

/* O_NONBLOCK is the whole pool's: a program that never asked for it must not meet EAGAIN. */
static void bears_a_listener_that_does_not_block(void **state)
{
    struct worker worker = SPAWN(&world, TEST_WAYS, "plain");
    (void)state;
    WAIT(waiting(&worker) == 1);
    assert_int_equal(fcntl(world.listener, F_SETFL, O_NONBLOCK), 0);
    for (int i = 0; i < 5; i++)
        assert_true(is_served(&world, "/any"));
    WAIT(waiting(&worker) == 1);
    assert_int_equal(worker_drain(&worker), 0);
    assert_int_equal(fcntl(world.listener, F_SETFL, 0), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tells_each_phase, setup, teardown),
        cmocka_unit_test_setup_teardown(tells_of_a_kept_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(counts_whatever_the_way, setup, teardown),
        cmocka_unit_test_setup_teardown(an_answer_tells_of_an_unseen_request, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_discarded_is_not_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stream_is_closed_when_it_is_flushed, setup, teardown),
        cmocka_unit_test_setup_teardown(tells_the_descriptor_that_is_left, setup, teardown),
        cmocka_unit_test_setup_teardown(notices_a_close_behind_its_back, setup, teardown),
        cmocka_unit_test_setup_teardown(a_foreign_nonblocking_listener_is_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wrong_accept_gives_up_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wait_that_cannot_be_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_signal_ends_an_accept, setup, teardown),
        cmocka_unit_test_setup_teardown(wrappers_do_not_hide_the_worker, setup, teardown),
        cmocka_unit_test_setup_teardown(numbers_may_be_high, setup, teardown),
        cmocka_unit_test_setup_teardown(others_may_call_before_us, setup, teardown),
        cmocka_unit_test_setup_teardown(children_find_nothing_of_us, setup, teardown),
        cmocka_unit_test_setup_teardown(programs_are_started_with_nothing_held, setup, teardown),
        cmocka_unit_test_setup_teardown(is_inert_elsewhere, setup, teardown),
        cmocka_unit_test_setup_teardown(wakes_the_master, setup, teardown),
        cmocka_unit_test_setup_teardown(overflows, setup, teardown),
        cmocka_unit_test_setup_teardown(who_is_not_listed_is_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(rows_of_dead_threads_are_taken_once, setup, teardown),
        cmocka_unit_test_setup_teardown(the_dead_are_not_idle, setup, teardown),
        cmocka_unit_test_setup_teardown(an_exec_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(bears_a_listener_that_does_not_block, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
