/*
 * Ending one connection of another process: the right one, and no other socket.
 */
#include "daemon/kernel/hangup.h"
#include "daemon/kernel/listener.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define DEADLINE_MS 10000

static char directory[64];
static char unix_text[128];
static char abstract_text[128];

/* A worker with the listener as descriptor 0 that has accepted one connection as descriptor 9 and reads it.
 * Exits with 3 when that reads its end. */
#define CONNECTION_FD 9
#define END_CODE      3

struct scene {
    struct listener listener;
    pid_t worker;
    int client;
};

static int setup(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/fcgipool-hangup-XXXXXX");
    if (mkdtemp(directory) == NULL)
        return -1;
    (void)snprintf(unix_text, sizeof unix_text, "unix:%s/app.sock", directory);
    (void)snprintf(abstract_text, sizeof abstract_text, "unix:@fcgipool-hangup-%d", getpid());
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(directory);
}

static void work(int listener, int ready)
{
    char byte;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)setpgid(0, 0);
    int fd = accept(listener, NULL, NULL);
    if (fd < 0 || dup2(fd, CONNECTION_FD) < 0 || close(fd) != 0 || write(ready, "", 1) != 1)
        _exit(1);
    _exit(read(CONNECTION_FD, &byte, 1) == 0 ? END_CODE : 2);
}

static struct scene begin(const char *listen)
{
    struct problem problem = {0};
    struct listener_options options = {.backlog = 16, .mode = 0660, .owner = (uid_t)-1, .group = (gid_t)-1};
    struct scene scene = {.listener = LISTENER_INIT};
    struct address at;
    int ready[2];
    char byte;
    if (address_parse(listen, &options.address, &problem) != 0 ||
        listener_open(&options, &scene.listener, &problem) != 0)
        fail_msg("%s", problem.text);
    at = scene.listener.address;
    assert_int_equal(pipe(ready), 0);
    scene.worker = fork();
    assert_true(scene.worker >= 0);
    if (scene.worker == 0)
        work(scene.listener.fd, ready[1]);
    (void)close(ready[1]);
    scene.client = socket(at.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(scene.client, (const struct sockaddr *)&at.storage, at.length), 0);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);
    return scene;
}

/* True when the other side has hung up. */
static bool client_sees_the_end(const struct scene *scene, int wait_ms)
{
    struct pollfd client = {.fd = scene->client, .events = POLLIN | POLLRDHUP};
    return poll(&client, 1, wait_ms) == 1 && (client.revents & (POLLRDHUP | POLLHUP)) != 0;
}

/* Returns the worker's exit code, or -1 when it had to be killed. */
static int finish(struct scene *scene, bool kill_it)
{
    int status;
    if (kill_it)
        (void)kill(scene->worker, SIGKILL);
    assert_int_equal(waitpid(scene->worker, &status, 0), scene->worker);
    (void)close(scene->client);
    listener_close(&scene->listener);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int hang_up(const struct scene *scene, int fd)
{
    return hangup_connection(&scene->listener.address, scene->worker, scene->worker, fd, NULL, NULL);
}

static bool say(void *context)
{
    return *(const bool *)context;
}

static void check_end(const char *listen)
{
    struct scene scene = begin(listen);
    bool still = true;
    assert_int_equal(
        hangup_connection(&scene.listener.address, scene.worker, scene.worker, CONNECTION_FD, say, &still),
        0);
    assert_true(client_sees_the_end(&scene, DEADLINE_MS));
    assert_int_equal(finish(&scene, false), END_CODE);
}

static void a_connection_is_ended_on_both_sides(void **state)
{
    (void)state;
    check_end(unix_text);
    check_end(abstract_text);
    check_end("127.0.0.1:0");
    check_end("0.0.0.0:0");
    check_end("[::1]:0");
    check_end("*:0");
}

static void one_that_is_another_by_now_is_left_alone(void **state)
{
    (void)state;
    struct scene scene = begin(unix_text);
    bool still = false;
    assert_int_equal(
        hangup_connection(&scene.listener.address, scene.worker, scene.worker, CONNECTION_FD, say, &still),
        -ENOENT);
    assert_false(client_sees_the_end(&scene, 0));
    assert_int_equal(finish(&scene, true), -1);
}

static void the_listener_itself_is_left_alone(void **state)
{
    (void)state;
    const char *texts[] = {unix_text, "127.0.0.1:0"};
    for (size_t i = 0; i < 2; i++) {
        struct scene scene = begin(texts[i]);
        uint32_t queued, limit;
        assert_int_equal(hang_up(&scene, scene.listener.fd), -ENOENT);
        assert_int_equal(listener_queue(&scene.listener, &queued, &limit), 0);
        assert_false(client_sees_the_end(&scene, 0));
        assert_int_equal(finish(&scene, true), -1);
    }
}

/* Sockets of the worker's own: a pair, a connection to somewhere else, to the listener, and no socket. */
static void other_sockets_are_left_alone(void **state)
{
    (void)state;
    struct problem problem = {0};
    struct address other;
    int pair[2], ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(pipe(ends), 0);
    struct scene scene = begin("127.0.0.1:0"); /* the worker inherits them */
    struct pollfd alive = {.fd = pair[0], .events = POLLIN | POLLRDHUP};
    assert_int_equal(hang_up(&scene, pair[1]), -ENOENT);
    assert_int_equal(hang_up(&scene, ends[0]), -ENOENT);
    assert_int_equal(hang_up(&scene, 1000), -EBADF);
    assert_int_equal(hang_up(&scene, -1), -ESRCH);
    assert_int_equal(poll(&alive, 1, 0), 0);
    assert_int_equal(address_parse("127.0.0.1:1", &other, &problem), 0);
    assert_int_equal(hangup_connection(&other, scene.worker, scene.worker, CONNECTION_FD, NULL, NULL),
                     -ENOENT);
    assert_int_equal(address_parse(unix_text, &other, &problem), 0);
    assert_int_equal(hangup_connection(&other, scene.worker, scene.worker, CONNECTION_FD, NULL, NULL),
                     -ENOENT);
    /* Our own end of the connection: not one that came in. */
    assert_int_equal(
        hangup_connection(&scene.listener.address, getpgrp(), getpid(), scene.client, NULL, NULL), -ENOENT);
    assert_false(client_sees_the_end(&scene, 0));
    assert_int_equal(finish(&scene, true), -1);
    for (int i = 0; i < 2; i++) {
        (void)close(pair[i]);
        (void)close(ends[i]);
    }
}

static void only_members_of_the_group_are_touched(void **state)
{
    (void)state;
    struct scene scene = begin(unix_text);
    const struct address *at = &scene.listener.address;
    assert_int_equal(hangup_connection(at, getpgrp(), scene.worker, CONNECTION_FD, NULL, NULL), -ESRCH);
    assert_int_equal(hangup_connection(at, scene.worker, getpid(), scene.client, NULL, NULL), -ESRCH);
    assert_int_equal(hangup_connection(at, scene.worker, 0, CONNECTION_FD, NULL, NULL), -ESRCH);
    assert_int_equal(hangup_connection(at, 0, scene.worker, CONNECTION_FD, NULL, NULL), -ESRCH);
    assert_false(client_sees_the_end(&scene, 0));
    assert_int_equal(finish(&scene, true), -1);
}

static void a_process_that_has_gone_is_no_process(void **state)
{
    (void)state;
    struct scene scene = begin(unix_text);
    siginfo_t death;
    (void)kill(scene.worker, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)scene.worker, &death, WEXITED | WNOWAIT), 0);
    assert_true(hang_up(&scene, CONNECTION_FD) < 0);
    pid_t worker = scene.worker;
    assert_int_equal(finish(&scene, false), -1);
    assert_int_equal(hangup_connection(&scene.listener.address, worker, worker, CONNECTION_FD, NULL, NULL),
                     -ESRCH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_connection_is_ended_on_both_sides, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_is_another_by_now_is_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(the_listener_itself_is_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(other_sockets_are_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(only_members_of_the_group_are_touched, setup, teardown),
        cmocka_unit_test_setup_teardown(a_process_that_has_gone_is_no_process, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
