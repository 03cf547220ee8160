/*
 * What the kernel says of sockets: queues of unix listeners, and who was accepted from where.
 */
#include "daemon/kernel/diag.h"
#include "daemon/kernel/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[64];
static char unix_text[96];

static int setup(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/fcgipool-diag-XXXXXX");
    if (mkdtemp(directory) == NULL)
        return -1;
    (void)snprintf(unix_text, sizeof unix_text, "unix:%s/app.sock", directory);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(directory);
}

static struct listener open_address(const struct address *address)
{
    struct problem problem = {0};
    struct listener listener = LISTENER_INIT;
    struct listener_options options = {
        .address = *address, .backlog = 1024, .mode = 0600, .owner = (uid_t)-1, .group = (gid_t)-1};
    if (listener_open(&options, &listener, &problem) != 0)
        fail_msg("%s", problem.text);
    return listener;
}

static struct listener open_at(const char *text)
{
    struct problem problem = {0};
    struct address address;
    if (address_parse(text, &address, &problem) != 0)
        fail_msg("%s", problem.text);
    return open_address(&address);
}

/* Both ends of one accepted connection. */
struct pair {
    int client;
    int server;
};

static int connect_to(const struct address *address)
{
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address->storage, address->length), 0);
    return fd;
}

static struct pair make_pair(const struct listener *listener, const struct address *address)
{
    struct pair pair = {.client = connect_to(address)};
    pair.server = accept(listener->fd, NULL, NULL);
    assert_true(pair.server >= 0);
    return pair;
}

static void close_pair(const struct pair *pair)
{
    close(pair->client);
    close(pair->server);
}

static uint64_t inode_of(int fd)
{
    struct stat identity;
    assert_int_equal(fstat(fd, &identity), 0);
    return identity.st_ino;
}

/* The set must be exactly the server ends of `count` pairs. */
static void assert_accepted(const struct address *address, const struct pair *pairs, size_t count)
{
    struct diag_set set = DIAG_SET_INIT;
    assert_int_equal(diag_accepted(address, &set), 0);
    for (size_t i = 0; i < count; i++) {
        assert_true(diag_set_has(&set, inode_of(pairs[i].server)));
        assert_false(diag_set_has(&set, inode_of(pairs[i].client)));
    }
    assert_int_equal(set.count, count);
    diag_set_fini(&set);
}

static void check_accepted(const char *text)
{
    struct listener listener = open_at(text);
    const struct address *address = &listener.address;
    struct pair pairs[3] = {{0}};
    assert_accepted(address, pairs, 0);
    for (size_t i = 0; i < 3; i++)
        pairs[i] = make_pair(&listener, address);
    assert_accepted(address, pairs, 3);
    int queued = connect_to(address);
    assert_accepted(address, pairs, 3);
    /* Half-closed by either side, a connection still has its descriptor. */
    shutdown(pairs[0].server, SHUT_WR);
    shutdown(pairs[1].client, SHUT_WR);
    assert_accepted(address, pairs, 3);
    close_pair(&pairs[2]);
    assert_accepted(address, pairs, 2);
    close_pair(&pairs[1]);
    close_pair(&pairs[0]);
    assert_accepted(address, pairs, 0);
    close(queued);
    listener_close(&listener);
}

static void accepted_connections_are_found(void **state)
{
    (void)state;
    char abstract[64];
    (void)snprintf(abstract, sizeof abstract, "unix:@fcgipool-diag-%d", getpid());
    check_accepted(unix_text);
    check_accepted(abstract);
    check_accepted("127.0.0.1:0");
    check_accepted("[::1]:0");
    check_accepted("0.0.0.0:0");
    check_accepted("[::]:0");
}

static void dual_stack_listener_has_both_families(void **state)
{
    (void)state;
    struct listener listener = open_at("*:0");
    struct sockaddr_in6 *bound = (struct sockaddr_in6 *)&listener.address.storage;
    struct address four = {.length = sizeof(struct sockaddr_in)};
    *(struct sockaddr_in *)&four.storage =
        (struct sockaddr_in){AF_INET, bound->sin6_port, {htonl(INADDR_LOOPBACK)}, {0}};
    struct pair pairs[] = {make_pair(&listener, &four), make_pair(&listener, &listener.address)};
    assert_accepted(&listener.address, pairs, 2);
    close_pair(&pairs[0]);
    close_pair(&pairs[1]);
    listener_close(&listener);
}

/* The same port on another address is another listener. */
static void tcp_address_counts_and_not_the_port_alone(void **state)
{
    (void)state;
    struct listener one = open_at("127.0.0.1:0");
    struct address other = one.address;
    ((struct sockaddr_in *)&other.storage)->sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
    struct listener two = open_address(&other);
    struct pair pair = make_pair(&two, &two.address);
    assert_accepted(&one.address, NULL, 0);
    assert_accepted(&two.address, &pair, 1);
    close_pair(&pair);
    listener_close(&two);
    listener_close(&one);
}

/* An abstract name is all its bytes; one that goes on after a NUL is another name. */
static void abstract_names_may_hold_nul_bytes(void **state)
{
    (void)state;
    struct address plain = {0};
    struct sockaddr_un *un = (struct sockaddr_un *)&plain.storage;
    un->sun_family = AF_UNIX;
    int length = snprintf(un->sun_path + 1, sizeof un->sun_path - 1, "fcgipool-nul-%d", getpid());
    plain.length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    struct address longer = plain;
    longer.length += 3;
    ((struct sockaddr_un *)&longer.storage)->sun_path[length + 2] = 'x';

    struct listener one = open_address(&plain), two = open_address(&longer);
    struct pair pair = make_pair(&one, &plain);
    struct pair pairs[] = {make_pair(&two, &longer), make_pair(&two, &longer)};
    assert_accepted(&plain, &pair, 1);
    assert_accepted(&longer, pairs, 2);
    close_pair(&pair);
    close_pair(&pairs[0]);
    close_pair(&pairs[1]);
    listener_close(&one);
    listener_close(&two);
}

/* More than one read's worth: the kernel gives at most 32 KiB at a time. */
static void check_many(const char *text)
{
    enum { COUNT = 450 };
    static struct pair pairs[COUNT];
    struct listener listener = open_at(text);
    for (size_t i = 0; i < COUNT; i++)
        pairs[i] = make_pair(&listener, &listener.address);
    assert_accepted(&listener.address, pairs, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        close_pair(&pairs[i]);
    listener_close(&listener);
}

static void big_dumps_are_read_to_the_end(void **state)
{
    (void)state;
    struct rlimit before, limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit = before;
    limit.rlim_cur = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < 1024)
        skip();
    check_many(unix_text);
    check_many("127.0.0.1:0");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void set_is_filled_anew_each_time(void **state)
{
    (void)state;
    struct diag_set set = DIAG_SET_INIT;
    struct listener listener = open_at(unix_text);
    struct pair pair = make_pair(&listener, &listener.address);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(diag_accepted(&listener.address, &set), 0);
        assert_int_equal(set.count, 1);
    }
    close_pair(&pair);
    assert_int_equal(diag_accepted(&listener.address, &set), 0);
    assert_int_equal(set.count, 0);
    diag_set_fini(&set);
    listener_close(&listener);
}

static void one_socket_is_judged_exactly(void **state)
{
    (void)state;
    bool accepted = false;
    struct listener listener = open_at(unix_text), tcp = open_at("127.0.0.1:0");
    struct pair pair = make_pair(&listener, &listener.address);
    assert_int_equal(diag_unix_accepted(&listener.address, inode_of(pair.server), &accepted), 0);
    assert_true(accepted);
    assert_int_equal(diag_unix_accepted(&listener.address, inode_of(pair.client), &accepted), 0);
    assert_false(accepted);
    assert_int_equal(diag_unix_accepted(&listener.address, listener.inode, &accepted), 0);
    assert_false(accepted);
    assert_int_equal(diag_unix_accepted(&listener.address, tcp.inode, &accepted), -ENOENT);
    close_pair(&pair);
    listener_close(&tcp);
    listener_close(&listener);
}

static void queue_is_of_the_very_socket_asked_for(void **state)
{
    (void)state;
    uint32_t queued = 99, limit = 99;
    struct listener listener = open_at(unix_text);
    int client = connect_to(&listener.address);
    assert_int_equal(diag_unix_queue(listener.inode, listener.cookie, &queued, &limit), 0);
    assert_int_equal(queued, 1);
    assert_int_equal(limit, 1024);
    queued = limit = 99;
    assert_int_equal(diag_unix_queue(listener.inode, listener.cookie + 1, &queued, &limit), -ENOENT);
    uint64_t inode = listener.inode, cookie = listener.cookie;
    listener_close(&listener);
    close(client);
    assert_int_equal(diag_unix_queue(inode, cookie, &queued, &limit), -ENOENT);
    assert_int_equal(queued, 99);
    assert_int_equal(limit, 99);
}

static void failure_leaves_the_set_empty(void **state)
{
    (void)state;
    struct diag_set set = DIAG_SET_INIT;
    struct listener listener = open_at(unix_text);
    struct pair pair = make_pair(&listener, &listener.address);
    assert_int_equal(diag_accepted(&listener.address, &set), 0);
    assert_int_equal(set.count, 1);
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int error = diag_accepted(&listener.address, &set);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(error, -EMFILE);
    assert_int_equal(set.count, 0);
    diag_set_fini(&set);
    close_pair(&pair);
    listener_close(&listener);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(accepted_connections_are_found),
        TEST(dual_stack_listener_has_both_families),
        TEST(tcp_address_counts_and_not_the_port_alone),
        TEST(abstract_names_may_hold_nul_bytes),
        TEST(big_dumps_are_read_to_the_end),
        TEST(set_is_filled_anew_each_time),
        TEST(one_socket_is_judged_exactly),
        TEST(queue_is_of_the_very_socket_asked_for),
        TEST(failure_leaves_the_set_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
