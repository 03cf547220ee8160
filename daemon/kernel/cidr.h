/*
 * IP networks as people write them: "10.0.0.0/8", "127.0.0.1", "2001:db8::/32", "::1". Numeric only.
 */
#ifndef FCGIPOOL_DAEMON_KERNEL_CIDR_H
#define FCGIPOOL_DAEMON_KERNEL_CIDR_H

#include "daemon/base/problem.h"

#include <stdint.h>
#include <sys/socket.h>

struct cidr {
    sa_family_t family; /* AF_INET or AF_INET6 */
    unsigned prefix;    /* leading bits that count: 0 to 32 or 128 */
    uint8_t bytes[16];  /* network order; those behind the prefix are 0 */
};

/* Reads an address, or a network ADDRESS/PREFIX. Bits set behind the prefix are refused, for they mean that
 * one of the two is wrong; so are IPv4 addresses in IPv6 dress ("::ffff:10.0.0.1"), which no packet carries.
 * Returns 0, or -EINVAL with the reason, and the network that was probably meant, in `problem`. */
__attribute__((warn_unused_result)) int cidr_parse(const char *text, struct cidr *ret_cidr,
                                                   struct problem *problem);

#endif
