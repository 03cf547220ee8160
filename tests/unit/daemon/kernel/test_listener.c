/*
 * Listening sockets on every kind of address: what is accepted, replaced, refused and left behind.
 */
#include "daemon/kernel/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define DEADLINE_MS 10000

static char directory[64];
static char path[96];       /* directory/app.sock */
static char unix_text[128]; /* its address */
static char abstract_text[128];

static int setup(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/fcgipool-listener-XXXXXX");
    if (mkdtemp(directory) == NULL)
        return -1;
    (void)snprintf(path, sizeof path, "%s/app.sock", directory);
    (void)snprintf(unix_text, sizeof unix_text, "unix:%s", path);
    (void)snprintf(abstract_text, sizeof abstract_text, "unix:@fcgipool-test-%d", getpid());
    return 0;
}

/* rmdir is the test that nothing was left behind. */
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

static struct listener open_at(const char *text)
{
    struct problem problem = {0};
    struct listener listener = LISTENER_INIT;
    struct listener_options options = options_for(text);
    if (listener_open(&options, &listener, &problem) != 0)
        fail_msg("%s", problem.text);
    return listener;
}

/* Opening must fail with `error` and a reason that holds `words`. */
static void assert_refused(const char *text, int error, const char *words)
{
    struct problem problem = {0};
    struct listener listener = LISTENER_INIT;
    struct listener_options options = options_for(text);
    assert_int_equal(listener_open(&options, &listener, &problem), error);
    if (strstr(problem.text, words) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", words, problem.text);
    assert_int_equal(listener.fd, -1);
}

/* A client socket of the address's family, connecting without waiting; -errno when refused at once. */
static int start_connect(const struct address *address)
{
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    if (connect(fd, (const struct sockaddr *)&address->storage, address->length) == 0 || errno == EINPROGRESS)
        return fd;
    int error = errno;
    close(fd);
    return -error;
}

static bool connected_within(int fd, int timeout_ms)
{
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    int error = 0;
    socklen_t size = sizeof error;
    if (poll(&wait, 1, timeout_ms) != 1)
        return false;
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size), 0);
    return error == 0;
}

static int connect_to(const struct address *address)
{
    int fd = start_connect(address);
    if (fd < 0 || !connected_within(fd, DEADLINE_MS))
        fail_msg("cannot connect: %s", strerror(fd < 0 ? -fd : ETIMEDOUT));
    return fd;
}

static bool can_connect(const struct address *address)
{
    int fd = start_connect(address);
    if (fd < 0)
        return false;
    bool connected = connected_within(fd, DEADLINE_MS);
    close(fd);
    return connected;
}

/* One accepted connection answers one byte to its client. */
static void assert_served(const struct listener *listener, int client)
{
    char byte = 0;
    struct pollfd wait = {.fd = listener->fd, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, DEADLINE_MS), 1);
    int server = accept(listener->fd, NULL, NULL);
    assert_true(server >= 0);
    assert_int_equal(write(server, "x", 1), 1);
    close(server);
    wait = (struct pollfd){.fd = client, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, DEADLINE_MS), 1);
    assert_int_equal(read(client, &byte, 1), 1);
    assert_int_equal(byte, 'x');
}

/* --- serving --- */

static void check_serves(const char *text)
{
    struct listener listener = open_at(text);
    int client = connect_to(&listener.address);
    assert_served(&listener, client);
    assert_int_equal(fcntl(listener.fd, F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(fcntl(listener.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    close(client);
    struct address address = listener.address;
    listener_close(&listener);
    assert_false(can_connect(&address));
}

static void every_kind_serves(void **state)
{
    (void)state;
    check_serves(unix_text);
    check_serves(abstract_text);
    check_serves("127.0.0.1:0");
    check_serves("localhost:0");
    check_serves("[::1]:0");
}

static void port_zero_is_filled_in(void **state)
{
    (void)state;
    char text[ADDRESS_TEXT_SIZE];
    struct listener listener = open_at("127.0.0.1:0");
    address_format(&listener.address, text, sizeof text);
    assert_true(strtol(strchr(text, ':') + 1, NULL, 10) > 0);
    listener_close(&listener);
}

static in_port_t port_of(const struct listener *listener)
{
    return ((const struct sockaddr_in6 *)&listener->address.storage)->sin6_port;
}

static struct address loopback4(in_port_t port)
{
    struct address address = {.length = sizeof(struct sockaddr_in)};
    struct sockaddr_in *in = (struct sockaddr_in *)&address.storage;
    *in = (struct sockaddr_in){AF_INET, port, {htonl(INADDR_LOOPBACK)}, {0}};
    return address;
}

static void star_takes_both_families_and_brackets_only_ipv6(void **state)
{
    (void)state;
    struct listener both = open_at("*:0");
    struct address four = loopback4(port_of(&both));
    assert_true(can_connect(&four));
    listener_close(&both);

    struct listener six = open_at("[::]:0");
    four = loopback4(port_of(&six));
    assert_false(can_connect(&four));
    listener_close(&six);
}

static void check_queue(const char *text)
{
    enum { CLIENTS = 5 };
    uint32_t queued = 99, limit = 99;
    int clients[CLIENTS];
    struct listener listener = open_at(text);
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = connect_to(&listener.address);
        assert_int_equal(listener_queue(&listener, &queued, &limit), 0);
        assert_int_equal(queued, i + 1);
        assert_int_equal(limit, 16);
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        assert_served(&listener, clients[i]);
        assert_int_equal(listener_queue(&listener, &queued, &limit), 0);
        assert_int_equal(queued, CLIENTS - 1 - i);
        close(clients[i]);
    }
    listener_close(&listener);
}

static void queue_depth_is_exact(void **state)
{
    (void)state;
    check_queue(unix_text);
    check_queue(abstract_text);
    check_queue("127.0.0.1:0");
    check_queue("[::1]:0");
    check_queue("*:0");
}

/* --- the unix path --- */

static void path_has_the_mode_and_owner_asked_for(void **state)
{
    (void)state;
    struct problem problem = {0};
    struct listener listener = LISTENER_INIT;
    struct listener_options options = options_for(unix_text);
    struct stat made;
    mode_t mask = umask(022);
    options.mode = 0666;
    if (geteuid() == 0) {
        options.owner = 65534;
        options.group = 65533;
    }
    assert_int_equal(listener_open(&options, &listener, &problem), 0);
    assert_int_equal(umask(mask), 022);
    assert_int_equal(lstat(path, &made), 0);
    assert_int_equal(made.st_mode & 07777, 0666);
    assert_int_equal(made.st_uid, geteuid() == 0 ? 65534 : geteuid());
    assert_int_equal(made.st_gid, geteuid() == 0 ? 65533 : getegid());
    listener_close(&listener);
}

static void live_master_is_refused(void **state)
{
    (void)state;
    struct listener first = open_at(unix_text);
    assert_refused(unix_text, -EADDRINUSE, "another master");
    assert_true(can_connect(&first.address));
    listener_close(&first);
}

/* A master that was killed: its lock file stays, unlocked, and a worker of it still answers. */
static void stale_socket_is_replaced(void **state)
{
    (void)state;
    struct listener dead = open_at(unix_text);
    assert_int_equal(flock(dead.lock_fd, LOCK_UN), 0);
    int orphans = dup(dead.fd);
    struct listener listener = open_at(unix_text);
    assert_int_not_equal(listener.inode, dead.inode);
    int client = connect_to(&listener.address);
    assert_served(&listener, client);
    close(client);
    /* The dead one's close must not take away what is not its own any more. */
    close(dead.lock_fd);
    dead.lock_fd = -1;
    listener_close(&dead);
    close(orphans);
    assert_true(can_connect(&listener.address));
    listener_close(&listener);
}

static void dead_socket_without_a_lock_is_replaced(void **state)
{
    (void)state;
    struct listener_options options = options_for(unix_text);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&options.address.storage, options.address.length), 0);
    close(fd);
    struct listener listener = open_at(unix_text);
    assert_true(can_connect(&listener.address));
    listener_close(&listener);
}

static void check_foreign_refused(int type)
{
    struct listener_options options = options_for(unix_text);
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&options.address.storage, options.address.length), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(fd, 0), 0);
    assert_refused(unix_text, -EADDRINUSE, "another program");
    /* Its queue is full now (of the probe): that must not pass for dead. */
    assert_refused(unix_text, -EADDRINUSE, "another program");
    assert_refused(unix_text, -EADDRINUSE, "another program");
    close(fd);
    assert_int_equal(unlink(path), 0);
}

static void live_socket_of_another_program_is_refused(void **state)
{
    (void)state;
    check_foreign_refused(SOCK_STREAM);
    check_foreign_refused(SOCK_DGRAM);
}

static void anything_but_a_socket_is_refused(void **state)
{
    (void)state;
    char text[4] = "";
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "abc", 3), 3);
    close(fd);
    assert_refused(unix_text, -EEXIST, "not a socket");
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, text, 3), 3);
    close(fd);
    assert_string_equal(text, "abc");
    assert_int_equal(unlink(path), 0);

    assert_int_equal(symlink("elsewhere", path), 0);
    assert_refused(unix_text, -EEXIST, "not a socket");
    assert_int_equal(unlink(path), 0);
}

static void lock_is_no_symbolic_link(void **state)
{
    (void)state;
    char lock[128], target[128];
    (void)snprintf(lock, sizeof lock, "%s.lock", path);
    (void)snprintf(target, sizeof target, "%s/victim", directory);
    assert_int_equal(symlink(target, lock), 0);
    assert_refused(unix_text, -ELOOP, "lock file");
    assert_int_equal(access(target, F_OK), -1);
    assert_int_equal(unlink(lock), 0);
}

static void missing_directory_is_told(void **state)
{
    (void)state;
    char text[128];
    (void)snprintf(text, sizeof text, "unix:%s/none/app.sock", directory);
    assert_refused(text, -ENOENT, "none/app.sock");
}

static void close_leaves_a_path_that_is_not_ours(void **state)
{
    (void)state;
    struct listener listener = open_at(unix_text);
    assert_int_equal(unlink(path), 0);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    listener_close(&listener);
    assert_int_equal(unlink(path), 0);
    listener_close(&listener);
}

/* --- addresses in use --- */

static void address_in_use_is_refused(void **state)
{
    (void)state;
    char text[ADDRESS_TEXT_SIZE];
    static const char *const kinds[] = {"127.0.0.1:0", "[::1]:0", "*:0"};
    for (size_t i = 0; i < 3; i++) {
        struct listener first = open_at(kinds[i]);
        address_format(&first.address, text, sizeof text);
        assert_refused(text, -EADDRINUSE, text);
        listener_close(&first);
        first = open_at(text);
        listener_close(&first);
    }
    struct listener first = open_at(abstract_text);
    assert_refused(abstract_text, -EADDRINUSE, abstract_text);
    listener_close(&first);
}

static void address_that_is_not_here_is_told(void **state)
{
    (void)state;
    assert_refused("192.0.2.1:9000", -EADDRNOTAVAIL, "no network interface");
}

static void tcp_address_can_be_bound_again_beside_the_old(void **state)
{
    (void)state;
    int on = 1;
    struct listener old = open_at("127.0.0.1:0");
    struct listener new = old;
    new.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(new.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(new.fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    assert_int_equal(bind(new.fd, (struct sockaddr *)&old.address.storage, old.address.length), 0);
    assert_int_equal(listen(new.fd, 16), 0);
    listener_close(&old);
    int client = connect_to(&new.address);
    assert_served(&new, client);
    close(client);
    listener_close(&new);
}

/* --- refusing --- */

/* Who has the socket still, as a worker does, holds up nobody. */
static void check_end(struct listener *listener)
{
    struct address address = listener->address;
    char text[ADDRESS_TEXT_SIZE];
    int held = dup(listener->fd);
    listener_end(listener);
    listener_unlock(listener);
    assert_true(accept(held, NULL, NULL) < 0 && errno == EINVAL);
    assert_false(can_connect(&address));
    address_format(&address, text, sizeof text);
    if (address.storage.ss_family != AF_UNIX || address_path(&address)) {
        struct listener next = open_at(text);
        assert_true(can_connect(&next.address));
        listener_close(&next);
    }
    close(held);
}

static void check_refuse(const char *text)
{
    struct listener listener = open_at(text);
    struct address address = listener.address;
    int queued[3];
    for (int i = 0; i < 3; i++)
        queued[i] = connect_to(&address);
    listener_refuse(&listener);

    int late = start_connect(&address);
    if (address.storage.ss_family == AF_UNIX)
        assert_true(late == -ECONNREFUSED || late == -ENOENT);
    else
        assert_false(connected_within(late, 200));
    for (int i = 0; i < 3; i++) {
        assert_served(&listener, queued[i]);
        close(queued[i]);
    }
    if (late >= 0) {
        assert_false(connected_within(late, 0));
        close(late);
    }
    check_end(&listener);
    listener_close(&listener);
}

static void refusing_serves_who_is_queued_and_nobody_else(void **state)
{
    (void)state;
    check_refuse(unix_text);
    check_refuse(abstract_text);
    check_refuse("127.0.0.1:0");
    check_refuse("[::1]:0");
    check_refuse("*:0");
}

/* The client is deaf for a while, so that its handshake is still open when new ones are refused. */
static void refusing_completes_a_handshake_that_has_begun(void **state)
{
    (void)state;
    static const char *const kinds[] = {"127.0.0.1:0", "[::1]:0"};
    for (size_t i = 0; i < 2; i++) {
        struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
        struct sock_fprog deaf = {.len = 1, .filter = code};
        struct listener listener = open_at(kinds[i]);
        const struct address *address = &listener.address;
        int client = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
            none = 0;
        assert_int_equal(setsockopt(client, SOL_SOCKET, SO_ATTACH_FILTER, &deaf, sizeof deaf), 0);
        assert_int_equal(connect(client, (const struct sockaddr *)&address->storage, address->length), -1);
        assert_int_equal(errno, EINPROGRESS);
        listener_refuse(&listener);
        assert_int_equal(setsockopt(client, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none), 0);
        assert_true(connected_within(client, DEADLINE_MS));
        assert_served(&listener, client);
        close(client);
        listener_close(&listener);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_kind_serves),
        TEST(port_zero_is_filled_in),
        TEST(star_takes_both_families_and_brackets_only_ipv6),
        TEST(queue_depth_is_exact),
        TEST(path_has_the_mode_and_owner_asked_for),
        TEST(live_master_is_refused),
        TEST(stale_socket_is_replaced),
        TEST(dead_socket_without_a_lock_is_replaced),
        TEST(live_socket_of_another_program_is_refused),
        TEST(anything_but_a_socket_is_refused),
        TEST(lock_is_no_symbolic_link),
        TEST(missing_directory_is_told),
        TEST(close_leaves_a_path_that_is_not_ours),
        TEST(address_in_use_is_refused),
        TEST(address_that_is_not_here_is_told),
        TEST(tcp_address_can_be_bound_again_beside_the_old),
        TEST(refusing_serves_who_is_queued_and_nobody_else),
        TEST(refusing_completes_a_handshake_that_has_begun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
