/*
 * Taking a listening socket over from a process: which one, and whether it fits what is asked for.
 */
#include "daemon/kernel/adopt.h"
#include "daemon/kernel/diag.h"
#include "daemon/kernel/holders.h"
#include "daemon/kernel/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[64];
static char unix_text[128];
static char abstract_text[128];

static int setup(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/fcgipool-adopt-XXXXXX");
    if (mkdtemp(directory) == NULL)
        return -1;
    (void)snprintf(unix_text, sizeof unix_text, "unix:%s/app.sock", directory);
    (void)snprintf(abstract_text, sizeof abstract_text, "unix:@fcgipool-adopt-%d", getpid());
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(directory);
}

static struct listener_options options_for(const char *text)
{
    struct problem problem = {0};
    struct listener_options options = {.backlog = 16, .mode = 0660, .owner = (uid_t)-1, .group = (gid_t)-1};
    if (address_parse(text, &options.address, &problem) != 0)
        fail_msg("%s", problem.text);
    return options;
}

static struct listener open_with(const struct listener_options *options)
{
    struct problem problem = {0};
    struct listener listener = LISTENER_INIT;
    if (listener_open(options, &listener, &problem) != 0)
        fail_msg("%s", problem.text);
    return listener;
}

static struct listener open_at(const char *text)
{
    struct listener_options options = options_for(text);
    return open_with(&options);
}

/* A process that has what we have, and lives until it is ended. */
static pid_t fork_holder(void)
{
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    assert_true(pid > 0);
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void test_only_the_socket_that_is_meant(void **state)
{
    (void)state;
    struct listener listener = open_at("127.0.0.1:0");
    uint64_t cookie = 0;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork_holder();
    int got = adopt_listener(pid, listener.fd, listener.cookie);
    assert_true(got >= 0);
    assert_int_equal(fcntl(got, F_GETFD), FD_CLOEXEC);
    close(got);
    assert_int_equal(adopt_listener(pid, listener.fd, listener.cookie + 1), -ENOENT);
    assert_int_equal(adopt_listener(pid, ends[0], listener.cookie), -ENOENT);
    assert_int_equal(adopt_listener(pid, 999, listener.cookie), -EBADF);
    assert_int_equal(adopt_listener_of_ours(pid, ends[0], &cookie), -ENOENT);
    assert_int_equal(adopt_listener_of_ours(pid, listener.fd, &cookie), -ENOENT); /* we live */
    end(pid);
    assert_int_equal(adopt_listener(pid, listener.fd, listener.cookie), -ESRCH);
    close(ends[0]);
    close(ends[1]);
    listener_close(&listener);
}

/* A second listener of the same options, which is or is not the first one. */
static bool is_taken_over(struct listener_options options, struct listener *former)
{
    struct problem problem = {0};
    struct listener listener = LISTENER_INIT;
    options.former = former;
    int error = listener_open(&options, &listener, &problem);
    if (error != 0)
        return false;
    bool same = listener.cookie == former->cookie && listener.inode == former->inode &&
                listener.path_inode == former->path_inode;
    listener_leave(&listener);
    return same;
}

/* What a dead master's socket is: no lock is held any more. */
static void die(struct listener *listener)
{
    if (listener->lock_fd >= 0)
        close(listener->lock_fd);
    listener->lock_fd = -1;
}

static void forget(struct listener *listener)
{
    char lock[160];
    const char *path = address_path(&listener->address);
    if (path != NULL) {
        (void)snprintf(lock, sizeof lock, "%s.lock", path);
        (void)unlink(lock);
    }
    listener_close(listener);
    if (path != NULL)
        (void)unlink(strchr(unix_text, '/'));
}

static void test_the_same_is_taken_over(void **state)
{
    const char *texts[] = {unix_text, abstract_text, "127.0.0.1:0", "[::1]:0", "*:0"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct listener_options options = options_for(texts[i]);
        struct listener former = open_with(&options);
        die(&former);
        assert_true(is_taken_over(options, &former));
        options.address = former.address; /* with its port */
        assert_true(is_taken_over(options, &former));
        forget(&former);
    }
}

static void test_nonblocking_is_undone(void **state)
{
    (void)state;
    struct listener former = open_at(abstract_text);
    assert_int_equal(fcntl(former.fd, F_SETFL, O_NONBLOCK), 0);
    assert_true(is_taken_over(options_for(abstract_text), &former));
    assert_int_equal(fcntl(former.fd, F_GETFL) & O_NONBLOCK, 0);
    forget(&former);
}

static void test_another_mode_or_file_is_not(void **state)
{
    (void)state;
    struct listener_options options = options_for(unix_text);
    struct listener former = open_with(&options);
    die(&former);
    struct listener_options wider = options;
    wider.mode = 0666;
    assert_false(is_taken_over(wider, &former));
    /* The path leads to the one that was bound just now. */
    assert_false(is_taken_over(options, &former));
    forget(&former);
}

static void test_another_address_is_not(void **state)
{
    (void)state;
    struct listener former = open_at("127.0.0.1:0");
    assert_false(is_taken_over(options_for("127.0.0.2:0"), &former));
    assert_false(is_taken_over(options_for(abstract_text), &former));
    forget(&former);
    former = open_at("[::]:0");
    assert_false(is_taken_over(options_for("*:0"), &former));
    forget(&former);
}

static void test_refused_is_open_again_on_tcp_only(void **state)
{
    struct sockaddr_storage name;
    socklen_t size = sizeof name;
    (void)state;
    struct listener former = open_at("127.0.0.1:0");
    struct listener_options options = options_for("127.0.0.1:0");
    options.address = former.address;
    listener_refuse(&former);
    assert_true(is_taken_over(options, &former));
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(getsockname(former.fd, (struct sockaddr *)&name, &size), 0);
    (void)connect(client, (struct sockaddr *)&name, size);
    struct pollfd ready = {.fd = former.fd, .events = POLLIN};
    assert_int_equal(poll(&ready, 1, 10000), 1);
    close(client);
    forget(&former);

    former = open_at(abstract_text);
    listener_refuse(&former);
    assert_false(is_taken_over(options_for(abstract_text), &former));
    forget(&former);
}

static void test_pipe_of_a_worker(void **state)
{
    char path[40], text[8] = "";
    uint64_t start;
    int ends[2];
    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", ends[1]);
    int both = open(path, O_RDWR | O_CLOEXEC);
    pid_t pid = fork_holder();
    assert_int_equal(proc_start(pid, &start), 0);
    assert_int_equal(adopt_pipe(pid, start, ends[1]), -ENOENT); /* not open for both */
    assert_int_equal(adopt_pipe(pid, start + 1, both), -ENOENT);
    int reader = adopt_pipe(pid, start, both);
    assert_true(reader >= 0);
    assert_int_equal(read(reader, text, sizeof text), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(write(ends[1], "hello", 5), 5);
    assert_int_equal(read(reader, text, sizeof text), 5);
    end(pid);
    close(reader);
    close(both);
    close(ends[0]);
    close(ends[1]);
}

static void test_start_times_tell_processes_apart(void **state)
{
    uint64_t first, again, own;
    (void)state;
    pid_t pid = fork_holder();
    assert_int_equal(proc_start(pid, &first), 0);
    assert_int_equal(proc_start(pid, &again), 0);
    assert_int_equal(proc_start(getpid(), &own), 0);
    assert_true(first == again && first >= own && own > 0);
    end(pid);
    assert_int_equal(proc_start(pid, &again), -ESRCH);
}

static void test_queue_of_a_socket_without_descriptor(void **state)
{
    uint32_t queued, limit;
    (void)state;
    struct listener listener = open_at("127.0.0.1:0");
    struct listener known = listener;
    known.fd = -1;
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&listener.address.storage, listener.address.length),
                     0);
    assert_int_equal(listener_queue(&known, &queued, &limit), 0);
    assert_int_equal(queued, 1);
    assert_int_equal(limit, 16);
    assert_false(listener_is_empty(&known));
    known.cookie++;
    assert_int_equal(listener_queue(&known, &queued, &limit), -ENOENT);
    close(client);
    listener_close(&listener);
}

static void test_holders_are_named(void **state)
{
    const char *texts[] = {unix_text, abstract_text, "127.0.0.1:0", "[::1]:0"};
    char text[128], wanted[64];
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct listener listener = open_at(texts[i]);
        pid_t pid = fork_holder();
        (void)snprintf(wanted, sizeof wanted, "%d", pid);
        holders_text(&listener.address, text, sizeof text);
        assert_non_null(strstr(text, wanted));
        (void)snprintf(wanted, sizeof wanted, "%d", getpid());
        assert_non_null(strstr(text, wanted));
        holders_text(&listener.address, text, 4); /* cut, and no more */
        assert_true(strlen(text) < 4);
        end(pid);
        struct address address = listener.address;
        listener_close(&listener);
        holders_text(&address, text, sizeof text);
        assert_string_equal(text, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_only_the_socket_that_is_meant, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_same_is_taken_over, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nonblocking_is_undone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_mode_or_file_is_not, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_address_is_not, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_is_open_again_on_tcp_only, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pipe_of_a_worker, setup, teardown),
        cmocka_unit_test_setup_teardown(test_start_times_tell_processes_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_of_a_socket_without_descriptor, setup, teardown),
        cmocka_unit_test_setup_teardown(test_holders_are_named, setup, teardown),
    };
    return cmocka_run_group_tests_name("adopt", tests, NULL, NULL);
}
