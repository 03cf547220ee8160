/*
 * Sockets of others: which are taken, what is learnt of them, and that nothing of them is changed but what
 * workers need.
 */
#include "daemon/kernel/foreign.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[64];
static char path[96]; /* directory/app.sock */

static int setup(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/fcgipool-foreign-XXXXXX");
    if (mkdtemp(directory) == NULL)
        return -1;
    (void)snprintf(path, sizeof path, "%s/app.sock", directory);
    return 0;
}

/* rmdir is the test that nothing was left behind. */
static int teardown(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(directory);
}

/* A socket of somebody else's, bound where `text` says; it listens unless `backlog` is 0. */
static int theirs(const char *text, int type, int backlog)
{
    struct problem problem;
    struct address address;
    int off = 0;
    assert_int_equal(address_parse(text, &address, &problem), 0);
    int fd = socket(address.storage.ss_family, type, 0);
    assert_true(fd >= 0);
    if (address.dual_stack)
        assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off), 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address.storage, address.length), 0);
    if (backlog > 0)
        assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

static struct listener taken(int fd)
{
    struct problem problem = {0};
    struct listener listener = LISTENER_INIT;
    if (foreign_listener(fd, &listener, &problem) != 0)
        fail_msg("%s", problem.text);
    assert_true(listener.foreign);
    return listener;
}

static void assert_refused(int fd, int error, const char *words)
{
    struct problem problem = {0};
    struct listener listener = LISTENER_INIT;
    assert_int_equal(foreign_listener(fd, &listener, &problem), error);
    if (strstr(problem.text, words) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", words, problem.text);
    assert_int_equal(listener.fd, -1);
}

/* --- what it is --- */

static void check_address(const char *bound, const char *begin)
{
    char text[ADDRESS_TEXT_SIZE];
    struct listener listener = taken(theirs(bound, SOCK_STREAM, 7));
    address_format(&listener.address, text, sizeof text);
    if (strncmp(text, begin, strlen(begin)) != 0)
        fail_msg("%s is no %s", text, begin);
    assert_true(listener.inode != 0 && listener.cookie != 0);
    assert_int_equal(listener.backlog, 7);
    assert_true(listener_exists(&listener));
    listener_close(&listener);
}

static void the_address_is_learnt(void **state)
{
    char text[128];
    (void)state;
    (void)snprintf(text, sizeof text, "unix:%s", path);
    check_address(text, text);
    (void)snprintf(text, sizeof text, "unix:@fcgipool-test-%d", getpid());
    check_address(text, text);
    check_address("127.0.0.1:0", "127.0.0.1:");
    check_address("[::1]:0", "[::1]:");
    check_address("*:0", "*:");
}

static void what_is_no_listening_stream_socket_is_refused(void **state)
{
    int ends[2];
    (void)state;
    assert_refused(-1, -EBADF, "not open");
    assert_refused(999, -EBADF, "descriptor 999 is not open");
    assert_int_equal(pipe(ends), 0);
    assert_refused(ends[0], -ENOTSOCK, "not a socket");
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_refused(ends[0], -EINVAL, "does not listen");
    close(ends[0]);
    close(ends[1]);
    static const struct {
        const char *address;
        int type, error;
    } kinds[] = {
        {"127.0.0.1:0", SOCK_STREAM, -EINVAL},
        {"127.0.0.1:0", SOCK_DGRAM, -EPROTOTYPE},
        {"unix:@fcgipool-test-kinds", SOCK_SEQPACKET, -EPROTOTYPE},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        int fd = theirs(kinds[i].address, kinds[i].type, 0);
        assert_refused(fd, kinds[i].error, "descriptor");
        close(fd);
    }
}

static void it_is_made_fit_for_workers(void **state)
{
    int fd = theirs("127.0.0.1:0", SOCK_STREAM | SOCK_NONBLOCK, 7);
    (void)state;
    struct listener listener = taken(fd);
    assert_int_equal(listener.fd, fd);
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    listener_close(&listener);
}

static void standard_input_is_left_where_it_is(void **state)
{
    (void)state;
    int saved = dup(STDIN_FILENO), fd = theirs("127.0.0.1:0", SOCK_STREAM, 7);
    assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
    close(fd);
    struct listener listener = taken(STDIN_FILENO);
    assert_true(listener.fd > STDERR_FILENO);
    assert_true(listener_exists(&listener));
    listener_close(&listener);
    assert_true(dup2(saved, STDIN_FILENO) == STDIN_FILENO);
    close(saved);
}

/* --- what is done to it --- */

static uint32_t limit_of(const struct listener *listener)
{
    uint32_t queued, limit;
    assert_int_equal(listener_queue(listener, &queued, &limit), 0);
    return limit;
}

static void its_backlog_changes_only_when_asked_for(void **state)
{
    struct problem problem = {0};
    struct listener_options options = {.backlog = 0};
    (void)state;
    struct listener listener = taken(theirs("127.0.0.1:0", SOCK_STREAM, 7));
    assert_int_equal(listener_adjust(&options, &listener, &problem), 0);
    assert_int_equal(limit_of(&listener), 7);
    options.backlog = 99;
    assert_int_equal(listener_adjust(&options, &listener, &problem), 0);
    assert_int_equal(limit_of(&listener), 99);
    listener_close(&listener);
}

static void its_path_stays_as_it_is(void **state)
{
    char text[128];
    struct problem problem = {0};
    struct stat before, after;
    struct listener_options options = {.mode = 0600, .owner = 7, .group = 7};
    (void)state;
    (void)snprintf(text, sizeof text, "unix:%s", path);
    struct listener listener = taken(theirs(text, SOCK_STREAM, 7));
    assert_int_equal(chmod(path, 0642), 0);
    assert_int_equal(lstat(path, &before), 0);
    assert_int_equal(listener_adjust(&options, &listener, &problem), 0);
    listener_hide(&listener);
    listener_close(&listener);
    assert_int_equal(lstat(path, &after), 0);
    assert_int_equal(after.st_mode, before.st_mode);
    assert_int_equal(after.st_uid, before.st_uid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_address_is_learnt, setup, teardown),
        cmocka_unit_test(what_is_no_listening_stream_socket_is_refused),
        cmocka_unit_test(it_is_made_fit_for_workers),
        cmocka_unit_test(standard_input_is_left_where_it_is),
        cmocka_unit_test(its_backlog_changes_only_when_asked_for),
        cmocka_unit_test_setup_teardown(its_path_stays_as_it_is, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
