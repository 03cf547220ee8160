/*
 * TCP listeners that take some clients only, or those that have something to say: on real sockets. The whole
 * of 127.0.0.0/8 is ours to connect from; for IPv6 there is ::1 alone.
 */
#include "daemon/base/clock.h"
#include "daemon/kernel/listener.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define DEADLINE_MS 10000
#define DROPPED_MS  150 /* a connect over loopback takes microseconds, or a retransmission of 1 s */

static struct listener open_at(const char *text, const char *const *networks, bool defer)
{
    struct problem problem = {0};
    struct cidr clients[4];
    struct listener listener = LISTENER_INIT;
    struct listener_options options = {.backlog = 16, .defer = defer, .clients = clients};
    for (; networks[options.client_count] != NULL; options.client_count++)
        if (cidr_parse(networks[options.client_count], &clients[options.client_count], &problem) != 0)
            fail_msg("%s", problem.text);
    if (address_parse(text, &options.address, &problem) != 0 ||
        listener_open(&options, &listener, &problem) != 0)
        fail_msg("%s", problem.text);
    /* The listener has its own list. */
    memset(clients, 0xff, sizeof clients);
    return listener;
}

/* Some kernels take filters from those with CAP_NET_ADMIN only. */
static bool may_filter(void)
{
    struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, UINT32_MAX)};
    struct sock_fprog program = {.len = 1, .filter = code};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int result = setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
    close(fd);
    return result == 0;
}

static in_port_t port_of(const struct listener *listener)
{
    /* At the same place in both families. */
    return ((const struct sockaddr_in *)&listener->address.storage)->sin_port;
}

/* A socket that is connecting, from 127.0.0.LAST by IPv4, from ::1 by IPv6 (last 0). */
static int start_connect(const struct listener *listener, uint8_t last)
{
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000000U + last)};
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = port_of(listener), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 to6 = {
        .sin6_family = AF_INET6, .sin6_port = port_of(listener), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(last ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    if (last)
        assert_int_equal(bind(fd, (const struct sockaddr *)&from, sizeof from), 0);
    int result = last ? connect(fd, (const struct sockaddr *)&to, sizeof to)
                      : connect(fd, (const struct sockaddr *)&to6, sizeof to6);
    assert_true(result == 0 || errno == EINPROGRESS);
    return fd;
}

static bool ready(int fd, short events, int timeout_ms)
{
    struct pollfd wait = {.fd = fd, .events = events};
    return poll(&wait, 1, timeout_ms) == 1;
}

static void pass_time(int ms)
{
    (void)poll(NULL, 0, ms);
}

/* Connects, sends more than a segment, gets it back whole. */
static void assert_served(const struct listener *listener, uint8_t last)
{
    char sent[4096], got[sizeof sent];
    memset(sent, 'x', sizeof sent);
    int client = start_connect(listener, last);
    assert_true(ready(client, POLLOUT, DEADLINE_MS));
    assert_int_equal(write(client, sent, sizeof sent), sizeof sent);
    assert_true(ready(listener->fd, POLLIN, DEADLINE_MS));
    int server = accept(listener->fd, NULL, NULL);
    assert_true(server >= 0);
    for (size_t length = 0; length < sizeof got;) {
        ssize_t size = read(server, got + length, sizeof got - length);
        assert_true(size > 0);
        length += (size_t)size;
    }
    assert_memory_equal(got, sent, sizeof sent);
    close(server);
    close(client);
}

static void assert_ignored(const struct listener *listener, uint8_t last)
{
    int client = start_connect(listener, last);
    assert_false(ready(client, POLLOUT, DROPPED_MS));
    assert_false(ready(listener->fd, POLLIN, 0));
    close(client);
}

#define LIST(...)                                                                                            \
    (const char *const[])                                                                                    \
    {                                                                                                        \
        __VA_ARGS__ __VA_OPT__(, ) NULL                                                                      \
    }

static void allowed_clients_are_served_and_others_get_no_answer(void **state)
{
    (void)state;
    if (!may_filter())
        skip();
    struct listener v4 = open_at("127.0.0.1:0", LIST("127.0.0.2", "127.0.0.8/29"), false);
    assert_served(&v4, 2);
    assert_served(&v4, 8);
    assert_served(&v4, 15);
    assert_ignored(&v4, 1);
    assert_ignored(&v4, 16);
    listener_close(&v4);

    struct listener v6 = open_at("[::1]:0", LIST("::1"), false);
    assert_served(&v6, 0);
    listener_close(&v6);
    v6 = open_at("[::1]:0", LIST("fd00::/8", "::/128"), false);
    assert_ignored(&v6, 0);
    listener_close(&v6);
}

/* Both kinds of packet come to the same socket. */
static void dual_stack_listener_tells_the_families_apart(void **state)
{
    (void)state;
    if (!may_filter())
        skip();
    struct listener only_v4 = open_at("*:0", LIST("127.0.0.2"), false);
    assert_served(&only_v4, 2);
    assert_ignored(&only_v4, 1);
    assert_ignored(&only_v4, 0);
    listener_close(&only_v4);
    struct listener only_v6 = open_at("*:0", LIST("::1"), false);
    assert_served(&only_v6, 0);
    assert_ignored(&only_v6, 1);
    listener_close(&only_v6);
}

static void refusing_keeps_the_list_and_serves_who_is_queued(void **state)
{
    (void)state;
    if (!may_filter())
        skip();
    char byte;
    struct listener listener = open_at("127.0.0.1:0", LIST("127.0.0.2"), true);
    int queued = start_connect(&listener, 2);
    assert_true(ready(queued, POLLOUT, DEADLINE_MS));
    assert_int_equal(write(queued, "x", 1), 1);
    assert_true(ready(listener.fd, POLLIN, DEADLINE_MS));
    assert_int_equal(listener_refuse(&listener), 0);
    assert_false(listener_is_empty(&listener));
    int late = start_connect(&listener, 2), stranger = start_connect(&listener, 1);
    assert_false(ready(late, POLLOUT, DROPPED_MS));
    assert_false(ready(stranger, POLLOUT, 0));
    int server = accept(listener.fd, NULL, NULL);
    assert_int_equal(read(server, &byte, 1), 1);
    assert_true(listener_is_empty(&listener));
    close(server);
    close(queued);
    close(late);
    close(stranger);
    listener_close(&listener);
}

static void silent_client_is_not_queued(void **state)
{
    (void)state;
    static const char *const kinds[] = {"127.0.0.1:0", "[::1]:0"};
    for (size_t i = 0; i < 2; i++) {
        uint32_t queued = 1, limit;
        char byte;
        struct listener listener = open_at(kinds[i], LIST(), true);
        int client = start_connect(&listener, i == 0);
        assert_true(ready(client, POLLOUT, DEADLINE_MS));
        /* Longer than the one second that a handshake without an answer would take. */
        assert_false(ready(listener.fd, POLLIN, 1500));
        assert_int_equal(listener_queue(&listener, &queued, &limit), 0);
        assert_int_equal(queued, 0);
        assert_int_equal(write(client, "x", 1), 1);
        assert_true(ready(listener.fd, POLLIN, DEADLINE_MS));
        int server = accept(listener.fd, NULL, NULL);
        assert_int_equal(read(server, &byte, 1), 1);
        close(server);
        close(client);

        /* One that leaves without a word has left, for the worker too. */
        client = start_connect(&listener, i == 0);
        assert_true(ready(client, POLLOUT, DEADLINE_MS));
        close(client);
        assert_true(ready(listener.fd, POLLIN, DEADLINE_MS));
        server = accept(listener.fd, NULL, NULL);
        assert_int_equal(read(server, &byte, 1), 0);
        close(server);
        listener_close(&listener);

        listener = open_at(kinds[i], LIST(), false);
        client = start_connect(&listener, i == 0);
        assert_true(ready(listener.fd, POLLIN, DEADLINE_MS));
        close(client);
        listener_close(&listener);
    }
}

/* A client that has not said anything yet counts for a while after the refusal, and then no more. */
static void silence_does_not_count_for_long(void **state)
{
    (void)state;
    char byte;
    struct listener listener = open_at("127.0.0.1:0", LIST(), true);
    int slow = start_connect(&listener, 1), silent = start_connect(&listener, 1);
    assert_true(ready(slow, POLLOUT, DEADLINE_MS) && ready(silent, POLLOUT, DEADLINE_MS));
    assert_false(listener_is_empty(&listener));
    pass_time(LISTENER_HANDSHAKE_MS);
    assert_false(listener_is_empty(&listener));
    int64_t before_ms = clock_now_ms();
    (void)!listener_refuse(&listener);
    pass_time(200);
    if (clock_now_ms() - before_ms < LISTENER_HANDSHAKE_MS)
        assert_false(listener_is_empty(&listener));
    assert_int_equal(write(slow, "x", 1), 1);
    assert_true(ready(listener.fd, POLLIN, DEADLINE_MS));
    pass_time(LISTENER_HANDSHAKE_MS - 200 + 2);
    /* It waits to be accepted, and that counts for ever. */
    assert_false(listener_is_empty(&listener));
    int server = accept(listener.fd, NULL, NULL);
    assert_int_equal(read(server, &byte, 1), 1);
    assert_true(listener_is_empty(&listener));
    close(server);
    close(slow);
    close(silent);
    listener_close(&listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allowed_clients_are_served_and_others_get_no_answer),
        cmocka_unit_test(dual_stack_listener_tells_the_families_apart),
        cmocka_unit_test(refusing_keeps_the_list_and_serves_who_is_queued),
        cmocka_unit_test(silent_client_is_not_queued),
        cmocka_unit_test(silence_does_not_count_for_long),
    };
    alarm(120);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
