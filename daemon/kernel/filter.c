/*
 * The kernel shows the filter of a TCP socket each packet from its TCP header on; the IP header before that
 * is reached by offsets from SKF_NET_OFF. The verdict is the number of bytes to keep: anything less than all
 * would cut data off the packets of accepted connections, which inherit the filter.
 */
#include "daemon/kernel/filter.h"

#include <errno.h>
#include <string.h>

#define DROP 0U
#define KEEP UINT32_MAX

#define TCP_FLAGS   13 /* offset in the TCP header */
#define FLAG_SYN    0x02U
#define FLAG_ACK    0x10U
#define IPV4_SOURCE ((uint32_t)SKF_NET_OFF + 12)
#define IPV6_SOURCE ((uint32_t)SKF_NET_OFF + 8)

struct program {
    struct sock_filter *code;
    size_t length; /* may pass the capacity: then nothing more was written */
    size_t capacity;
};

static void add(struct program *program, struct sock_filter instruction)
{
    if (program->length < program->capacity)
        program->code[program->length] = instruction;
    program->length++;
}

static void add_verdict(struct program *program, uint32_t verdict)
{
    add(program, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, verdict));
}

/* Drops bare SYNs. An ACK passes, so that handshakes that have begun are completed. */
static void add_refusal(struct program *program)
{
    add(program, (struct sock_filter)BPF_STMT(BPF_LD | BPF_B | BPF_ABS, TCP_FLAGS));
    add(program, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, FLAG_SYN | FLAG_ACK));
    add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FLAG_SYN, 0, 1));
    add_verdict(program, DROP);
}

/* Keeps the packet when its source is in the network; else runs on behind the block. A jump of a comparison
 * reaches 255 instructions only, so each network has a verdict of its own. */
static void add_network(struct program *program, const struct cidr *network)
{
    uint32_t source = network->family == AF_INET ? IPV4_SOURCE : IPV6_SOURCE;
    unsigned words = (network->prefix + 31) / 32, rest = network->prefix % 32;
    size_t verdict = program->length + 2 * words + (rest != 0);

    for (unsigned i = 0; i < words; i++) {
        uint32_t word = (uint32_t)network->bytes[4 * i] << 24 | (uint32_t)network->bytes[4 * i + 1] << 16 |
                        (uint32_t)network->bytes[4 * i + 2] << 8 | network->bytes[4 * i + 3];
        add(program, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, source + 4 * i));
        if (rest != 0 && i + 1 == words)
            add(program, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, UINT32_MAX << (32 - rest)));
        uint8_t behind = (uint8_t)(verdict - program->length);
        add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, word, 0, behind));
    }
    add_verdict(program, KEEP);
}

/* Keeps the packets from the networks of one family, and drops the others. */
static void add_family(struct program *program, const struct cidr *networks, size_t count, sa_family_t family)
{
    for (size_t i = 0; i < count; i++)
        if (networks[i].family == family)
            add_network(program, &networks[i]);
    add_verdict(program, DROP);
}

/* A dual-stack listener sees packets of both versions; the first four bits of the IP header tell. */
static void add_allowed(struct program *program, const struct cidr *networks, size_t count)
{
    add(program, (struct sock_filter)BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (uint32_t)SKF_NET_OFF));
    add(program, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 4));
    add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 4, 1, 0));
    size_t jump = program->length;
    add(program, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, 0));
    add_family(program, networks, count, AF_INET);
    if (jump < program->capacity)
        program->code[jump].k = (uint32_t)(program->length - jump - 1);
    add_family(program, networks, count, AF_INET6);
}

int filter_build(const struct cidr *networks, size_t count, bool refuse, struct sock_filter *ret_code,
                 size_t capacity)
{
    struct program program = {.code = ret_code, .capacity = capacity};
    if (refuse)
        add_refusal(&program);
    if (count > 0)
        add_allowed(&program, networks, count);
    else
        add_verdict(&program, KEEP);
    return program.length <= capacity ? (int)program.length : -E2BIG;
}
