/* The entry of a TCP listener; see entry.h. */
#include "daemon/kernel/entry.h"

#include "daemon/kernel/filter.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* TCP_DEFER_ACCEPT, in seconds. A client that is silent for so long reaches a worker all the same, so it is
 * long: web servers send at once, and who does not (a check of the port, a client that hangs) would hold a
 * libfcgi worker for good. It is not longer, for the kernel counts it in retransmissions, in seven bits, and
 * shifts a 64-bit number by that count: an hour is 36. */
#define DEFER_S 3600

static int attach_filter(const struct listener *listener, size_t client_count, bool refuse)
{
    struct sock_filter code[FILTER_MAX];
    int length = filter_build(listener->clients, client_count, refuse, code, FILTER_MAX);
    if (length < 0)
        return length;
    struct sock_fprog program = {.len = (unsigned short)length, .filter = code};
    return setsockopt(listener->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0 ? -errno : 0;
}

static int detach_filter(const struct listener *listener)
{
    int unused = 0;
    bool gone = setsockopt(listener->fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused) == 0 ||
                errno == ENOENT;
    return gone ? 0 : -errno;
}

/* The new filter and the one that it replaces are both charged for, until that one has gone. Where the two
 * are too long together, nobody is let in for a moment; a client's system tries again by itself. */
static int replace_filter(const struct listener *listener)
{
    int error = attach_filter(listener, listener->client_count, false);
    if (error != -ENOMEM)
        return error;
    (void)attach_filter(listener, 0, true);
    return attach_filter(listener, listener->client_count, false);
}

static int restrict_clients(const struct listener_options *options, struct listener *listener)
{
    struct listener former = *listener;
    listener->client_count = options->client_count;
    listener->clients =
        options->client_count ? calloc(options->client_count, sizeof *listener->clients) : NULL;
    if (options->client_count && !listener->clients) {
        *listener = former;
        return -ENOMEM;
    }
    for (size_t i = 0; i < options->client_count; i++)
        listener->clients[i] = options->clients[i];
    int error = listener->clients ? replace_filter(listener) : detach_filter(listener);
    free(error ? listener->clients : former.clients);
    if (error)
        *listener = former;
    return error;
}

int entry_set(const struct listener_options *options, struct listener *listener, struct problem *problem)
{
    int defer_s = options->defer ? DEFER_S : 0;
    if (setsockopt(listener->fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &defer_s, sizeof defer_s) != 0)
        return problem_set(problem, -errno, "cannot set TCP_DEFER_ACCEPT: %s", strerror(errno));
    int error = restrict_clients(options, listener);
    if (error == -ENOMEM)
        return problem_set(problem, error,
                           "allowed_clients is too long for the kernel (net.core.optmem_max limits it)");
    if (error)
        return problem_set(problem, error, "cannot restrict clients to allowed_clients: %s%s",
                           strerror(-error),
                           error == -EPERM ? "; this kernel takes filters from CAP_NET_ADMIN only" : "");
    return 0;
}

int entry_close(const struct listener *listener)
{
    /* Where there is no room for both programs, refusing everybody does without the list. */
    int error = attach_filter(listener, listener->client_count, true);
    return error ? attach_filter(listener, 0, true) : 0;
}
