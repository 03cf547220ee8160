/*
 * Addresses of listening sockets: text to sockaddr and back.
 * No name service: a host is numeric, "localhost" (127.0.0.1) or "*" (every address, IPv6 and IPv4).
 */
#ifndef FCGIPOOL_DAEMON_KERNEL_ADDRESS_H
#define FCGIPOOL_DAEMON_KERNEL_ADDRESS_H

#include "daemon/base/problem.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/* Room for the text of any address, with its NUL. */
#define ADDRESS_TEXT_SIZE 128

struct address {
    struct sockaddr_storage storage; /* AF_UNIX, AF_INET or AF_INET6 */
    socklen_t length;
    bool dual_stack; /* "*": [::], taking IPv4 as well; else an IPv6 socket takes IPv6 only */
};

/* "unix:PATH", "unix:@NAME" (abstract), "HOST:PORT", "[V6]:PORT". Relative unix paths are the caller's
 * matter; port 0 lets the kernel choose. Returns 0 or -EINVAL with the reason in `problem`. */
__attribute__((warn_unused_result)) int address_parse(const char *text, struct address *ret_address,
                                                      struct problem *problem);

/* The inverse, for logs and status: "unix:/run/app.sock", "127.0.0.1:9000", "[::1]:9000", "*:9000".
 * Cut when `size` is too small; NUL bytes inside an abstract name are shown as '@'. */
void address_format(const struct address *address, char *ret_text, size_t size);

/* The path of a unix socket in the file system (lives as long as `address`), or NULL for every other address.
 */
const char *address_path(const struct address *address);

/* What the kernel knows a unix socket by: `*ret_length` bytes, of a path without its NUL, of an abstract name
 * with its leading one. Lives as long as `address`. */
const char *address_unix_name(const struct address *address, size_t *ret_length);

/* Whether a connection with the address `local` on our side can have come in at `listener`: wildcards stand
 * for every host. */
bool address_takes(const struct address *listener, const struct address *local);

#endif
