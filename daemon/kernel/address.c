/*
 * Addresses: parsed strictly, so that a mistyped one is told and not bound elsewhere.
 */
#include "daemon/kernel/address.h"

#include "pool/assert.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#define FORMS "unix:PATH, unix:@NAME, HOST:PORT or [V6]:PORT"

static int parse_unix(const char *name, struct address *address, struct problem *problem)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&address->storage;
    size_t length = strlen(name);
    bool abstract = name[0] == '@';
    if (length == (abstract ? 1 : 0))
        return problem_set(problem, -EINVAL, "\"unix:%s\" has no name; write unix:PATH or unix:@NAME", name);
    if (length >= sizeof un->sun_path)
        return problem_set(problem, -EINVAL, "\"unix:%s\" has %zu bytes; a unix socket name has at most %zu",
                           name, length, sizeof un->sun_path - 1);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, name, length);
    if (abstract)
        un->sun_path[0] = '\0';
    address->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (abstract ? 0 : 1));
    return 0;
}

static bool parse_port(const char *text, in_port_t *ret_port)
{
    unsigned port = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits] != '\0')
        return false;
    for (; *text != '\0'; text++)
        port = port * 10 + (unsigned)(*text - '0');
    if (port > 65535)
        return false;
    *ret_port = htons((uint16_t)port);
    return true;
}

static bool parse_host(const char *host, bool brackets, in_port_t port, struct address *address)
{
    struct sockaddr_in *in = (struct sockaddr_in *)&address->storage;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address->storage;
    address->dual_stack = !brackets && strcmp(host, "*") == 0;
    if (brackets || address->dual_stack) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = port;
        address->length = sizeof *in6;
        return address->dual_stack || inet_pton(AF_INET6, host, &in6->sin6_addr) == 1;
    }
    in->sin_family = AF_INET;
    in->sin_port = port;
    address->length = sizeof *in;
    return inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &in->sin_addr) == 1;
}

static int parse_tcp(const char *text, struct address *address, struct problem *problem)
{
    char host[INET6_ADDRSTRLEN];
    in_port_t port;
    bool brackets = text[0] == '[';
    const char *colon = strrchr(text, ':');
    if (text[0] == '/')
        return problem_set(problem, -EINVAL, "\"%s\" is not an address; for a unix socket write \"unix:%s\"",
                           text, text);
    if (colon == NULL || (brackets && colon[-1] != ']'))
        return problem_set(problem, -EINVAL, "\"%s\" is not an address; write " FORMS, text);
    if (!parse_port(colon + 1, &port))
        return problem_set(problem, -EINVAL, "\"%s\" has no valid port; a port is a number from 0 to 65535",
                           text);

    const char *start = text + (brackets ? 1 : 0);
    const char *end = colon - (brackets ? 1 : 0);
    size_t length = end > start ? (size_t)(end - start) : 0;
    if (!brackets && memchr(start, ':', length) != NULL)
        return problem_set(problem, -EINVAL, "\"%s\": an IPv6 address needs brackets, as in [::1]:9000",
                           text);
    if (length < sizeof host) {
        memcpy(host, start, length);
        host[length] = '\0';
        if (parse_host(host, brackets, port, address))
            return 0;
    }
    return problem_set(problem, -EINVAL,
                       "\"%s\": the host must be a numeric address, localhost or * (names are not resolved)",
                       text);
}

int address_parse(const char *text, struct address *ret_address, struct problem *problem)
{
    struct address address = {0};
    bool is_unix = strncmp(text, "unix:", 5) == 0;
    int error = is_unix ? parse_unix(text + 5, &address, problem) : parse_tcp(text, &address, problem);
    if (error == 0)
        *ret_address = address;
    return error;
}

const char *address_path(const struct address *address)
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)&address->storage;
    if (un->sun_family != AF_UNIX || address->length <= offsetof(struct sockaddr_un, sun_path))
        return NULL;
    return un->sun_path[0] != '\0' ? un->sun_path : NULL;
}

const char *address_unix_name(const struct address *address, size_t *ret_length)
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)&address->storage;
    ASSERT(un->sun_family == AF_UNIX);
    size_t start = offsetof(struct sockaddr_un, sun_path);
    size_t length = address->length > start ? address->length - start : 0;
    *ret_length = address_path(address) != NULL ? strnlen(un->sun_path, length) : length;
    return un->sun_path;
}

static void format_unix(const struct address *address, char *ret_text, size_t size)
{
    char name[sizeof(struct sockaddr_un)] = "";
    size_t length;
    const char *bytes = address_unix_name(address, &length);
    for (size_t i = 0; i < length; i++)
        name[i] = bytes[i] == '\0' ? '@' : bytes[i];
    (void)snprintf(ret_text, size, "unix:%s", name);
}

void address_format(const struct address *address, char *ret_text, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "*";
    const struct sockaddr_in *in = (const struct sockaddr_in *)&address->storage;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address->storage;
    if (address->storage.ss_family == AF_UNIX) {
        format_unix(address, ret_text, size);
    } else if (address->storage.ss_family == AF_INET) {
        ASSERT(inet_ntop(AF_INET, &in->sin_addr, host, sizeof host) != NULL);
        (void)snprintf(ret_text, size, "%s:%u", host, ntohs(in->sin_port));
    } else if (address->dual_stack) {
        (void)snprintf(ret_text, size, "*:%u", ntohs(in6->sin6_port));
    } else {
        ASSERT(address->storage.ss_family == AF_INET6);
        ASSERT(inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host) != NULL);
        (void)snprintf(ret_text, size, "[%s]:%u", host, ntohs(in6->sin6_port));
    }
}

static bool unix_takes(const struct address *listener, const struct address *local)
{
    size_t length, local_length;
    const char *name = address_unix_name(listener, &length);
    const char *local_name = address_unix_name(local, &local_length);
    return length == local_length && memcmp(name, local_name, length) == 0;
}

/* What a dual-stack listener takes are IPv6 sockets, whoever called. */
bool address_takes(const struct address *listener, const struct address *local)
{
    const struct sockaddr_in *in = (const void *)&listener->storage,
                             *local_in = (const void *)&local->storage;
    const struct sockaddr_in6 *in6 = (const void *)in, *local_in6 = (const void *)local_in;
    if (listener->storage.ss_family != local->storage.ss_family)
        return false;
    if (in->sin_family == AF_UNIX)
        return unix_takes(listener, local);
    if (in->sin_family == AF_INET)
        return in->sin_port == local_in->sin_port &&
               (in->sin_addr.s_addr == htonl(INADDR_ANY) || in->sin_addr.s_addr == local_in->sin_addr.s_addr);
    ASSERT(in->sin_family == AF_INET6);
    return in6->sin6_port == local_in6->sin6_port &&
           (IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr) ||
            memcmp(&in6->sin6_addr, &local_in6->sin6_addr, sizeof in6->sin6_addr) == 0);
}
