/*
 * sock_diag: one netlink socket a question. sock_diag(7) has the formats.
 */
#include "daemon/kernel/diag.h"

#include "daemon/base/fd.h"
#include "pool/assert.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* The kernel fills at most 32 KiB a read, when it sees that we have room for it. */
#define READ_SIZE  32768
#define DUMP_TRIES 8

/* Called for each message of the answer; 0 or -errno, which ends the exchange. */
typedef int message_fn(const struct nlmsghdr *message, void *context);

static const void *body_of(const struct nlmsghdr *message)
{
    return (const char *)message + NLMSG_HDRLEN;
}

/* Returns 1 when the message was the last of the answer, 0 when more follow, or -errno (-EAGAIN: the dump was
 * disturbed or cut and is worth another try). */
static int see_message(const struct nlmsghdr *message, bool dump, message_fn *each, void *context)
{
    int error = 0;
    if ((message->nlmsg_flags & NLM_F_DUMP_INTR) != 0)
        return -EAGAIN;
    if (message->nlmsg_type == NLMSG_ERROR || message->nlmsg_type == NLMSG_DONE) {
        if (message->nlmsg_len >= NLMSG_LENGTH(sizeof error))
            memcpy(&error, body_of(message), sizeof error);
        return error < 0 ? error : 1;
    }
    if (message->nlmsg_type == SOCK_DIAG_BY_FAMILY)
        error = each(message, context);
    return error < 0 || dump ? error : 1;
}

/* Reads one datagram of the answer. Returns as see_message does. */
static int read_answer(int fd, bool dump, message_fn *each, void *context)
{
    _Alignas(struct nlmsghdr) char buffer[READ_SIZE];
    ssize_t size;
    do
        size = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
    while (size < 0 && errno == EINTR);
    if (size < 0)
        return errno == ENOBUFS ? -EAGAIN : -errno;

    size_t left = (size_t)size;
    const char *at = buffer;
    while (left >= sizeof(struct nlmsghdr)) {
        const struct nlmsghdr *message = (const void *)at;
        if (message->nlmsg_len < sizeof *message || message->nlmsg_len > left)
            return -EPROTO;
        int result = see_message(message, dump, each, context);
        if (result != 0)
            return result;
        size_t step = NLMSG_ALIGN(message->nlmsg_len);
        left -= step < left ? step : left;
        at += step;
    }
    return 0;
}

/* Sends a request body and gives each message of the answer to `each`. Returns 0 or -errno. */
static int ask(const void *body, size_t size, bool dump, message_fn *each, void *context)
{
    struct {
        struct nlmsghdr header;
        char body[sizeof(struct inet_diag_req_v2)];
    } request = {.header = {.nlmsg_len = (uint32_t)NLMSG_LENGTH(size),
                            .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                            .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | (dump ? NLM_F_DUMP : 0))}};
    ASSERT(size <= sizeof request.body);
    memcpy(request.body, body, size);

    __attribute__((cleanup(fd_close))) int fd =
        socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
    if (fd < 0)
        return -errno;
    if (send(fd, &request, request.header.nlmsg_len, 0) < 0)
        return -errno;
    int done;
    do
        done = read_answer(fd, dump, each, context);
    while (done == 0);
    return done < 0 ? done : 0;
}

/* The attribute `type` after the fixed part of `fixed` bytes, or NULL. */
static const void *find_attribute(const struct nlmsghdr *message, size_t fixed, int type, size_t *ret_size)
{
    size_t offset = NLMSG_LENGTH(NLMSG_ALIGN(fixed));
    while (message->nlmsg_len >= offset + NLA_HDRLEN) {
        const struct nlattr *attribute = (const void *)((const char *)message + offset);
        if (attribute->nla_len < NLA_HDRLEN || attribute->nla_len > message->nlmsg_len - offset)
            break;
        if ((attribute->nla_type & NLA_TYPE_MASK) == type) {
            *ret_size = attribute->nla_len - NLA_HDRLEN;
            return (const char *)attribute + NLA_HDRLEN;
        }
        offset += NLA_ALIGN(attribute->nla_len);
    }
    return NULL;
}

/* --- unix --- */

struct unix_queue {
    uint64_t inode;
    bool found;
    struct unix_diag_rqlen length;
};

static int see_queue(const struct nlmsghdr *message, void *context)
{
    struct unix_queue *queue = context;
    const struct unix_diag_msg *socket = body_of(message);
    if (message->nlmsg_len < NLMSG_LENGTH(sizeof *socket) || socket->udiag_ino != queue->inode)
        return -ENOENT;
    size_t size;
    const void *length = find_attribute(message, sizeof *socket, UNIX_DIAG_RQLEN, &size);
    if (length == NULL || size < sizeof queue->length)
        return -ENOENT;
    memcpy(&queue->length, length, sizeof queue->length);
    queue->found = true;
    return 0;
}

int diag_unix_queue(uint64_t inode, uint64_t cookie, uint32_t *ret_queued, uint32_t *ret_limit)
{
    struct unix_diag_req request = {
        .sdiag_family = AF_UNIX,
        .udiag_states = UINT32_MAX,
        .udiag_ino = (uint32_t)inode,
        .udiag_show = UDIAG_SHOW_RQLEN,
        .udiag_cookie = {(uint32_t)cookie, (uint32_t)(cookie >> 32)},
    };
    struct unix_queue queue = {.inode = inode};
    int error = ask(&request, sizeof request, false, see_queue, &queue);
    if (error == 0 && !queue.found)
        error = -ENOENT;
    if (error != 0)
        return error == -ESTALE ? -ENOENT : error;
    *ret_queued = queue.length.udiag_rqueue;
    *ret_limit = queue.length.udiag_wqueue;
    return 0;
}

static bool unix_matches(const struct nlmsghdr *message, const struct address *address, uint8_t state)
{
    const struct unix_diag_msg *socket = body_of(message);
    size_t size, length;
    if (message->nlmsg_len < NLMSG_LENGTH(sizeof *socket) || socket->udiag_state != state)
        return false;
    const char *name = find_attribute(message, sizeof *socket, UNIX_DIAG_NAME, &size);
    const char *ours = address_unix_name(address, &length);
    if (name == NULL)
        return false;
    if (size > 0 && name[0] != '\0')
        size = strnlen(name, size);
    return size == length && memcmp(name, ours, length) == 0;
}

struct unix_one {
    const struct address *address;
    bool found;
    bool accepted;
};

static int see_unix_one(const struct nlmsghdr *message, void *context)
{
    struct unix_one *one = context;
    one->found = true;
    one->accepted = unix_matches(message, one->address, TCP_ESTABLISHED);
    return 0;
}

int diag_unix_accepted(const struct address *address, uint64_t inode, bool *ret_accepted)
{
    struct unix_diag_req request = {
        .sdiag_family = AF_UNIX,
        .udiag_states = UINT32_MAX,
        .udiag_ino = (uint32_t)inode,
        .udiag_show = UDIAG_SHOW_NAME,
        .udiag_cookie = {(uint32_t)INET_DIAG_NOCOOKIE, (uint32_t)INET_DIAG_NOCOOKIE},
    };
    struct unix_one one = {.address = address};
    int error = ask(&request, sizeof request, false, see_unix_one, &one);
    if (error == 0 && !one.found)
        error = -EPROTO;
    if (error == 0)
        *ret_accepted = one.accepted;
    return error;
}

/* --- sets --- */

struct accepted {
    const struct address *address;
    struct diag_set *set;
    uint8_t state; /* TCP_LISTEN, or TCP_ESTABLISHED: whatever a connection can be in */
};

static int set_add(struct diag_set *set, uint64_t inode)
{
    /* Without a descriptor (queued, or closed and still sending) a connection is nobody's. */
    if (inode == 0)
        return 0;
    if (set->count == set->capacity) {
        size_t capacity = set->capacity == 0 ? 64 : set->capacity * 2;
        uint64_t *inodes = realloc(set->inodes, capacity * sizeof *inodes);
        if (inodes == NULL)
            return -ENOMEM;
        set->inodes = inodes;
        set->capacity = capacity;
    }
    set->inodes[set->count++] = inode;
    return 0;
}

static int see_unix(const struct nlmsghdr *message, void *context)
{
    struct accepted *accepted = context;
    const struct unix_diag_msg *socket = body_of(message);
    return unix_matches(message, accepted->address, accepted->state)
               ? set_add(accepted->set, socket->udiag_ino)
               : 0;
}

static bool inet_matches(const struct inet_diag_msg *socket, const struct address *address)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)&address->storage;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address->storage;
    if (in->sin_family == AF_INET)
        return socket->id.idiag_sport == in->sin_port &&
               (in->sin_addr.s_addr == htonl(INADDR_ANY) || socket->id.idiag_src[0] == in->sin_addr.s_addr);
    return socket->id.idiag_sport == in6->sin6_port &&
           (IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr) ||
            memcmp(socket->id.idiag_src, &in6->sin6_addr, sizeof in6->sin6_addr) == 0);
}

static int see_inet(const struct nlmsghdr *message, void *context)
{
    struct accepted *accepted = context;
    const struct inet_diag_msg *socket = body_of(message);
    if (message->nlmsg_len < NLMSG_LENGTH(sizeof *socket) || !inet_matches(socket, accepted->address))
        return 0;
    return set_add(accepted->set, socket->idiag_inode);
}

struct handshakes {
    const struct address *address;
    uint32_t count;
};

/* Connections taken by a dual-stack listener are AF_INET6 sockets, whoever called. */
static int dump_inet(const struct address *address, uint32_t states, message_fn *each, void *context)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)&address->storage;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address->storage;
    ASSERT(in->sin_family == AF_INET || in->sin_family == AF_INET6);
    struct inet_diag_req_v2 request = {
        .sdiag_family = (uint8_t)in->sin_family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = states};
    request.id.idiag_sport = in->sin_family == AF_INET ? in->sin_port : in6->sin6_port;
    return ask(&request, sizeof request, true, each, context);
}

static int dump_once(struct accepted *accepted)
{
    if (accepted->address->storage.ss_family == AF_UNIX) {
        struct unix_diag_req request = {
            .sdiag_family = AF_UNIX, .udiag_states = 1U << accepted->state, .udiag_show = UDIAG_SHOW_NAME};
        return ask(&request, sizeof request, true, see_unix, accepted);
    }
    if (accepted->state == TCP_LISTEN)
        return dump_inet(accepted->address, 1U << TCP_LISTEN, see_inet, accepted);
    /* Those in TIME_WAIT, often thousands, have no descriptor. */
    return dump_inet(accepted->address, ~(1U << TCP_LISTEN | 1U << TCP_TIME_WAIT), see_inet, accepted);
}

struct tcp_queue {
    uint64_t inode, cookie;
    bool found;
    uint32_t queued, limit;
};

static int see_tcp_listener(const struct nlmsghdr *message, void *context)
{
    const struct inet_diag_msg *socket = body_of(message);
    struct tcp_queue *queue = context;
    if (message->nlmsg_len < NLMSG_LENGTH(sizeof *socket) || socket->idiag_inode != queue->inode ||
        socket->id.idiag_cookie[0] != (uint32_t)queue->cookie ||
        socket->id.idiag_cookie[1] != (uint32_t)(queue->cookie >> 32))
        return 0;
    queue->found = true;
    queue->queued = socket->idiag_rqueue;
    queue->limit = socket->idiag_wqueue;
    return 0;
}

int diag_tcp_queue(const struct address *address, uint64_t inode, uint64_t cookie, uint32_t *ret_queued,
                   uint32_t *ret_limit)
{
    struct tcp_queue queue = {.inode = inode, .cookie = cookie};
    int error = dump_inet(address, 1U << TCP_LISTEN, see_tcp_listener, &queue);
    if (error == 0 && !queue.found)
        error = -ENOENT;
    if (error != 0)
        return error;
    *ret_queued = queue.queued;
    *ret_limit = queue.limit;
    return 0;
}

static int see_handshake(const struct nlmsghdr *message, void *context)
{
    const struct inet_diag_msg *socket = body_of(message);
    struct handshakes *handshakes = context;
    if (message->nlmsg_len >= NLMSG_LENGTH(sizeof *socket) && inet_matches(socket, handshakes->address))
        handshakes->count++;
    return 0;
}

int diag_handshakes(const struct address *address, uint32_t *ret_count)
{
    struct handshakes handshakes = {.address = address};
    int error = dump_inet(address, 1U << TCP_SYN_RECV, see_handshake, &handshakes);
    if (error == 0)
        *ret_count = handshakes.count;
    return error;
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static int fill(const struct address *address, uint8_t state, struct diag_set *set)
{
    struct accepted accepted = {.address = address, .set = set, .state = state};
    int error = -EAGAIN;
    for (int i = 0; i < DUMP_TRIES && error == -EAGAIN; i++) {
        set->count = 0;
        error = dump_once(&accepted);
    }
    if (error != 0)
        set->count = 0;
    else if (set->count > 1)
        qsort(set->inodes, set->count, sizeof *set->inodes, compare);
    return error;
}

int diag_accepted(const struct address *address, struct diag_set *set)
{
    return fill(address, TCP_ESTABLISHED, set);
}

int diag_listeners(const struct address *address, struct diag_set *set)
{
    return fill(address, TCP_LISTEN, set);
}

bool diag_set_has(const struct diag_set *set, uint64_t inode)
{
    return set->count > 0 && bsearch(&inode, set->inodes, set->count, sizeof *set->inodes, compare) != NULL;
}

void diag_set_fini(struct diag_set *set)
{
    free(set->inodes);
    *set = (struct diag_set)DIAG_SET_INIT;
}
