/* One request and its answer. */
#include "exchange.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static bool parse_unix(const char *path, struct target *ret_target)
{
    struct sockaddr_un *address = (struct sockaddr_un *)&ret_target->address;
    size_t size = strlen(path);
    if (size == 0 || size >= sizeof address->sun_path)
        return false;
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, size);
    if (*path == '@')
        address->sun_path[0] = '\0';
    ret_target->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + (*path != '@'));
    return true;
}

bool target_parse(const char *text, struct target *ret_target)
{
    memset(&ret_target->address, 0, sizeof ret_target->address);
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(text + 5, ret_target);
    char host[64];
    const char *colon = strrchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof host)
        return false;
    bool six = *text == '[';
    size_t size = (size_t)(colon - text) - (six ? 2 : 0);
    memcpy(host, text + six, size);
    host[size] = '\0';
    uint16_t port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    struct sockaddr_in *v4 = (struct sockaddr_in *)&ret_target->address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&ret_target->address;
    if (six) {
        *v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = port};
        ret_target->length = sizeof *v6;
        return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1;
    }
    *v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
    ret_target->length = sizeof *v4;
    return inet_pton(AF_INET, host, &v4->sin_addr) == 1;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A connected socket that does not block, or -1 and why. A full backlog makes us wait, as web servers do not.
 */
static int open_connection(const struct target *target, const char **ret_reason)
{
    int fd = socket(target->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        *ret_reason = "no socket";
        return -1;
    }
    struct timeval limit = {.tv_sec = target->connect_ms / 1000, .tv_usec = target->connect_ms % 1000 * 1000};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(fd, (const struct sockaddr *)&target->address, target->length) != 0) {
        *ret_reason = errno == ECONNREFUSED                       ? "connection refused"
                      : errno == ENOENT                           ? "no such socket"
                      : errno == EAGAIN || errno == EINPROGRESS   ? "connecting took too long"
                      : errno == EACCES                           ? "permission denied"
                      : errno == ECONNRESET || errno == ETIMEDOUT ? "reset while connecting"
                                                                  : "connect failed";
        close(fd);
        return -1;
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void make_room(struct reply *reply)
{
    if (reply->capacity - reply->size >= 16384)
        return;
    reply->capacity = reply->capacity ? reply->capacity * 2 : 65536;
    reply->bytes = realloc(reply->bytes, reply->capacity);
    if (!reply->bytes)
        abort();
}

/* Reads what is there. Returns true when no more is to come. */
static bool take(int fd, enum wire wire, struct reply *reply, const char **ret_reason)
{
    make_room(reply);
    ssize_t got = recv(fd, reply->bytes + reply->size, reply->capacity - reply->size, 0);
    if (got < 0) {
        if (errno == EAGAIN || errno == EINTR)
            return false;
        *ret_reason = errno == ECONNRESET ? "reset by the peer" : "receiving failed";
        return true;
    }
    reply->size += (size_t)got;
    if (wire == WIRE_FASTCGI && !reply_scan(reply)) {
        *ret_reason = "answer is not FastCGI";
        return true;
    }
    return got == 0 || reply->ended;
}

static const char timed_out[] = "no answer in time";

static const char *converse(int fd, const struct target *target, const struct shot *shot, struct reply *reply)
{
    const char *reason = NULL;
    int64_t deadline_ms = now_ms() + target->answer_ms;
    for (size_t sent = 0;;) {
        struct pollfd waited = {.fd = fd, .events = (short)(POLLIN | (sent < shot->size ? POLLOUT : 0))};
        int64_t left_ms = deadline_ms - now_ms();
        if (left_ms <= 0 || poll(&waited, 1, (int)left_ms) == 0)
            return timed_out;
        if (waited.revents & (POLLIN | POLLHUP | POLLERR) && take(fd, target->wire, reply, &reason))
            return reason;
        if (waited.revents & POLLOUT && sent < shot->size) {
            ssize_t done = send(fd, shot->bytes + sent, shot->size - sent, MSG_NOSIGNAL);
            if (done > 0)
                sent += (size_t)done;
            else if (done < 0 && errno != EAGAIN && errno != EINTR)
                sent = shot->size; /* an answer may be waiting all the same */
        }
    }
}

atomic_int exchanges_open;

void line_close(struct line *line)
{
    if (line->fd >= 0)
        close(line->fd);
    line->fd = -1;
    line->exchanges = 0;
}

enum outcome exchange(const struct target *target, const struct shot *shot, struct line *line,
                      const char **ret_reason, int *ret_pid)
{
    struct reply *reply = &line->reply;
    if (line->fd < 0)
        line->fd = open_connection(target, ret_reason);
    if (line->fd < 0)
        return OUTCOME_REFUSED;
    reply->size = reply->scanned = 0;
    reply->ended = false;
    atomic_fetch_add(&exchanges_open, 1);
    const char *reason = converse(line->fd, target, shot, reply);
    atomic_fetch_sub(&exchanges_open, 1);
    bool stale = line->exchanges++ > 0 && reply->size == 0 && reason != timed_out;
    if (!target->keep || reason || !reply->ended)
        line_close(line);
    if (stale)
        return OUTCOME_STALE;
    if (!reason && reply->scanned != reply->size && target->wire == WIRE_FASTCGI)
        reason = "more came than the answer";
    if (!reason)
        reason = reply_judge(reply, target->wire, shot, ret_pid);
    if (!reason)
        return OUTCOME_RIGHT;
    *ret_reason = reason;
    return OUTCOME_LOST;
}
