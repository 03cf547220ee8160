/*
 * The filter's verdict on packets, by a small interpreter of classic BPF that knows the instructions the
 * kernel may see here. test_listener.c has the same on real sockets.
 */
#include "daemon/kernel/filter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SYN     0x02
#define SYN_ACK 0x12
#define ACK     0x10
#define FIN_ACK 0x11
#define RST     0x04

struct packet {
    uint8_t ip[40]; /* the header before TCP's */
    uint8_t tcp[20];
};

/* Big-endian; outside of the headers is a fault of the program. */
static uint32_t load(const struct packet *packet, uint32_t k, size_t size)
{
    bool ip = k >= (uint32_t)SKF_NET_OFF;
    size_t offset = ip ? k - (uint32_t)SKF_NET_OFF : k;
    const uint8_t *from = ip ? packet->ip : packet->tcp;
    uint32_t value = 0;
    assert_true(offset + size <= (ip ? sizeof packet->ip : sizeof packet->tcp));
    for (size_t i = 0; i < size; i++)
        value = value << 8 | from[offset + i];
    return value;
}

static uint32_t run(const struct sock_filter *code, size_t length, const struct packet *packet)
{
    uint32_t a = 0;
    for (size_t at = 0; at < length; at++) {
        const struct sock_filter *i = &code[at];
        switch (i->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            a = load(packet, i->k, 4);
            break;
        case BPF_LD | BPF_B | BPF_ABS:
            a = load(packet, i->k, 1);
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= i->k;
            break;
        case BPF_ALU | BPF_RSH | BPF_K:
            a >>= i->k;
            break;
        case BPF_JMP | BPF_JA:
            at += i->k;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            at += a == i->k ? i->jt : i->jf;
            break;
        case BPF_RET | BPF_K:
            return i->k;
        default:
            fail_msg("instruction %#x", i->code);
        }
    }
    fail_msg("ran over the end");
    return 0;
}

static struct cidr network(const char *text)
{
    struct cidr cidr;
    struct problem problem;
    if (cidr_parse(text, &cidr, &problem) != 0)
        fail_msg("%s", problem.text);
    return cidr;
}

/* A packet from the address `source`. */
static struct packet packet_from(const char *source, uint8_t flags)
{
    struct packet packet = {.tcp = {[13] = flags}};
    bool v6 = strchr(source, ':') != NULL;
    packet.ip[0] = v6 ? 0x6f : 0x45;
    assert_int_equal(inet_pton(v6 ? AF_INET6 : AF_INET, source, packet.ip + (v6 ? 8 : 12)), 1);
    return packet;
}

/* NULL-terminated. */
static size_t parse_all(const char *const *texts, struct cidr *ret_networks)
{
    size_t count = 0;
    for (; texts[count] != NULL; count++)
        ret_networks[count] = network(texts[count]);
    return count;
}

static bool passes(const char *const *networks, bool refuse, const char *source, uint8_t flags)
{
    struct cidr cidrs[16];
    struct sock_filter code[256];
    struct packet packet = packet_from(source, flags);
    size_t count = parse_all(networks, cidrs);
    int length = filter_build(cidrs, count, refuse, code, 256);
    assert_true(length > 0);
    uint32_t verdict = run(code, (size_t)length, &packet);
    /* Nothing in between: a shorter packet is a damaged one. */
    assert_true(verdict == 0 || verdict == UINT32_MAX);
    return verdict != 0;
}

#define LIST(...)                                                                                            \
    (const char *const[])                                                                                    \
    {                                                                                                        \
        __VA_ARGS__ __VA_OPT__(, ) NULL                                                                      \
    }

static void each_prefix_is_exact(void **state)
{
    (void)state;
    static const struct {
        const char *network, *inside, *first, *last, *below, *above;
    } rows[] = {
        {"10.0.0.0/8", "10.200.3.4", "10.0.0.0", "10.255.255.255", "9.255.255.255", "11.0.0.0"},
        {"10.128.0.0/9", "10.129.0.1", "10.128.0.0", "10.255.255.255", "10.127.255.255", "11.0.0.0"},
        {"192.0.2.6/31", "192.0.2.7", "192.0.2.6", "192.0.2.7", "192.0.2.5", "192.0.2.8"},
        {"127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.0", "127.0.0.2"},
        {"128.0.0.0/1", "200.0.0.1", "128.0.0.0", "255.255.255.255", "127.255.255.255", "0.0.0.0"},
        {"2001:db8::/32", "2001:db8:1::2", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
         "2001:db7:ffff::", "2001:db9::"},
        {"2001:db8:8000::/33",
         "2001:db8:8001::", "2001:db8:8000::", "2001:db8:ffff::", "2001:db8:7fff::", "2001:db9::"},
        {"fd00:0:0:1::/64", "fd00:0:0:1::5", "fd00:0:0:1::", "fd00::1:ffff:ffff:ffff:ffff",
         "fd00::", "fd00:0:0:2::"},
        {"fd00::2:0:0/95", "fd00::3:1:1", "fd00::2:0:0", "fd00::3:ffff:ffff", "fd00::1:ffff:ffff",
         "fd00::4:0:0"},
        {"fd00::4/126", "fd00::6", "fd00::4", "fd00::7", "fd00::3", "fd00::8"},
        {"::1", "::1", "::1", "::1", "::", "::2"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *const *list = LIST(rows[i].network);
        assert_true(passes(list, false, rows[i].inside, SYN));
        assert_true(passes(list, false, rows[i].first, SYN));
        assert_true(passes(list, false, rows[i].last, SYN));
        assert_false(passes(list, false, rows[i].below, SYN));
        assert_false(passes(list, false, rows[i].above, SYN));
    }
}

static void any_of_several_networks_does(void **state)
{
    (void)state;
    const char *const *list = LIST("::1", "127.0.0.1", "fd00::/8", "10.0.0.0/8", "192.0.2.0/24");
    assert_true(passes(list, false, "127.0.0.1", SYN));
    assert_true(passes(list, false, "10.1.1.1", ACK));
    assert_true(passes(list, false, "192.0.2.255", ACK));
    assert_true(passes(list, false, "::1", SYN));
    assert_true(passes(list, false, "fdff::1", SYN));
    assert_false(passes(list, false, "127.0.0.2", SYN));
    assert_false(passes(list, false, "192.0.3.0", SYN));
    assert_false(passes(list, false, "::2", SYN));
    assert_false(passes(list, false, "2001:db8::", SYN));
}

/* 10.0.0.1 in an IPv6 packet's place is another address, and the other way round. */
static void families_are_not_mixed(void **state)
{
    (void)state;
    assert_false(passes(LIST("10.0.0.0/8"), false, "a00::1", SYN));
    assert_false(passes(LIST("0.0.0.0/0"), false, "::1", SYN));
    assert_false(passes(LIST("::/0"), false, "127.0.0.1", SYN));
    assert_true(passes(LIST("::/0"), false, "2001:db8::1", SYN));
    assert_true(passes(LIST("0.0.0.0/0"), false, "8.8.8.8", SYN));
}

static void refusing_drops_bare_syns_and_nothing_else(void **state)
{
    (void)state;
    static const uint8_t others[] = {ACK, SYN_ACK, FIN_ACK, RST, ACK | 0x08};
    for (int with_list = 0; with_list < 2; with_list++) {
        const char *const *list = with_list ? LIST("127.0.0.0/8") : LIST();
        assert_false(passes(list, true, "127.0.0.1", SYN));
        assert_false(passes(list, true, "127.0.0.1", SYN | 0xc0));
        for (size_t i = 0; i < sizeof others; i++)
            assert_true(passes(list, true, "127.0.0.1", others[i]));
        assert_true(passes(list, true, "10.0.0.1", ACK) == !with_list);
    }
}

static void no_list_and_no_refusal_pass_all(void **state)
{
    (void)state;
    assert_true(passes(LIST(), false, "127.0.0.1", SYN));
    assert_true(passes(LIST(), false, "::1", SYN));
}

/* The last network of the longest program is still reached. */
static void length_is_limited_by_the_buffer(void **state)
{
    (void)state;
    struct sock_filter *code = calloc(FILTER_MAX + 1, sizeof *code);
    struct cidr *networks = calloc(2000, sizeof *networks);
    assert_true(code && networks);
    code[FILTER_MAX].code = 0xffff;
    for (size_t i = 0; i < 2000; i++) {
        networks[i] = (struct cidr){.family = AF_INET, .prefix = 24};
        networks[i].bytes[0] = 10;
        networks[i].bytes[1] = (uint8_t)(i >> 8);
        networks[i].bytes[2] = (uint8_t)i;
    }
    int length = filter_build(networks, 1000, true, code, FILTER_MAX);
    assert_true(length > 4000 && length <= FILTER_MAX);
    struct packet last = packet_from("10.3.231.9", ACK), behind = packet_from("10.3.232.9", ACK),
                  other = packet_from("::1", ACK);
    assert_int_equal(run(code, (size_t)length, &last), UINT32_MAX);
    assert_int_equal(run(code, (size_t)length, &behind), 0);
    assert_int_equal(run(code, (size_t)length, &other), 0);

    assert_int_equal(filter_build(networks, 2000, false, code, FILTER_MAX), -E2BIG);
    assert_int_equal(filter_build(networks, 1, false, code, 3), -E2BIG);
    assert_int_equal(filter_build(NULL, 0, false, code, 0), -E2BIG);
    assert_int_equal(filter_build(networks, 1000, true, code, (size_t)length - 1), -E2BIG);
    assert_int_equal(filter_build(networks, 1000, true, code, (size_t)length), length);
    assert_int_equal(code[FILTER_MAX].code, 0xffff);
    free(code);
    free(networks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_prefix_is_exact),
        cmocka_unit_test(any_of_several_networks_does),
        cmocka_unit_test(families_are_not_mixed),
        cmocka_unit_test(refusing_drops_bare_syns_and_nothing_else),
        cmocka_unit_test(no_list_and_no_refusal_pass_all),
        cmocka_unit_test(length_is_limited_by_the_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
