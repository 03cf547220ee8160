/* IP networks from text; see cidr.h. */
#include "daemon/kernel/cidr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

/* Decimal, without sign, leading zeros or anything behind it. */
static bool parse_prefix(const char *text, unsigned highest, unsigned *ret_prefix)
{
    size_t length = strlen(text);
    if (length == 0 || length > 3 || strspn(text, "0123456789") != length || (text[0] == '0' && length > 1))
        return false;
    unsigned long prefix = strtoul(text, NULL, 10);
    if (prefix > highest)
        return false;
    *ret_prefix = (unsigned)prefix;
    return true;
}

/* Clears what is behind the prefix. Returns whether anything was set there. */
static bool clear_host(struct cidr *cidr)
{
    bool was_set = false;
    for (unsigned i = 0; i < sizeof cidr->bytes; i++) {
        unsigned bits = cidr->prefix > i * 8 ? cidr->prefix - i * 8 : 0;
        uint8_t mask = bits >= 8 ? 0xff : (uint8_t) ~(0xff >> bits);
        was_set |= (cidr->bytes[i] & ~mask) != 0;
        cidr->bytes[i] &= mask;
    }
    return was_set;
}

static int refuse_mapped(const struct cidr *cidr, struct problem *problem)
{
    char text[INET_ADDRSTRLEN];
    (void)inet_ntop(AF_INET, cidr->bytes + sizeof mapped, text, sizeof text);
    if (cidr->prefix == 128)
        return problem_set(problem, -EINVAL, "is an IPv4 address in IPv6 notation; write it as \"%s\"", text);
    return problem_set(problem, -EINVAL, "is an IPv4 network in IPv6 notation; write it as \"%s/%u\"", text,
                       cidr->prefix - 96);
}

int cidr_parse(const char *text, struct cidr *ret_cidr, struct problem *problem)
{
    struct cidr cidr = {.family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET};
    unsigned width = cidr.family == AF_INET6 ? 128 : 32;
    char address[INET6_ADDRSTRLEN];
    size_t length = strcspn(text, "/");

    (void)snprintf(address, sizeof address, "%.*s", (int)length, text);
    if (length >= sizeof address || inet_pton(cidr.family, address, cidr.bytes) != 1)
        return problem_set(
            problem, -EINVAL,
            "\"%.64s\" is not a numeric address or network like \"10.0.0.0/8\", \"127.0.0.1\" or \"::1\"",
            text);
    cidr.prefix = width;
    if (text[length] == '/' && !parse_prefix(text + length + 1, width, &cidr.prefix))
        return problem_set(problem, -EINVAL,
                           "\"%.64s\": what is behind the '/' must be a number from 0 to %u", text, width);
    bool host = clear_host(&cidr);
    if (cidr.family == AF_INET6 && cidr.prefix >= 96 && memcmp(cidr.bytes, mapped, sizeof mapped) == 0)
        return refuse_mapped(&cidr, problem);
    if (host) {
        (void)inet_ntop(cidr.family, cidr.bytes, address, sizeof address);
        return problem_set(problem, -EINVAL,
                           "\"%s\" is an address inside of a network; the network is \"%s/%u\"", text,
                           address, cidr.prefix);
    }
    *ret_cidr = cidr;
    return 0;
}
