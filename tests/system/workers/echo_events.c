/*
 * The echo contract over FastCGI by an event loop, as servers of that sort do it: it makes the listener not
 * block, has many connections at once and keeps those that the client asks it to keep. Told to leave (accept
 * fails for good), it takes no further connection and ends each that it has after its next answer.
 */
#include "plain.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS = 256 };

struct connection {
    int fd; /* -1: none */
    struct plain plain;
    uint8_t in[16384];
    struct bytes rest; /* of `in`: a client that does not wait has sent it early */
    bool answering;
    unsigned piece; /* the next of the answer */
    int64_t due_ms; /* when it may be made */
    char *out;      /* the piece that is being sent */
    size_t out_size, sent;
};

static struct connection connections[CONNECTIONS];
static bool leaving;

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void end(struct connection *connection)
{
    close(connection->fd);
    connection->fd = -1;
    free(connection->out);
    plain_fini(&connection->plain);
}

static void take(int fd)
{
    for (size_t i = 0; i < CONNECTIONS; i++)
        if (connections[i].fd < 0) {
            connections[i] = (struct connection){.fd = fd};
            plain_init(&connections[i].plain);
            return;
        }
    abort();
}

static void accept_all(size_t room)
{
    int fd = -1;
    while (room-- > 0 && (fd = accept4(STDIN_FILENO, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        take(fd);
    if (fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
        leaving = true;
}

static void schedule(struct connection *connection, unsigned piece)
{
    connection->answering = true;
    connection->piece = piece;
    connection->due_ms = now_ms() + plain_wait_ms(&connection->plain, piece);
}

static void feed(struct connection *connection)
{
    if (plain_feed(&connection->plain, &connection->rest))
        schedule(connection, 0);
    else if (connection->plain.broken)
        end(connection);
}

static void receive(struct connection *connection)
{
    ssize_t got = read(connection->fd, connection->in, sizeof connection->in);
    if (got > 0) {
        connection->rest = (struct bytes){connection->in, (size_t)got};
        feed(connection);
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        end(connection);
    }
}

/* A piece is out: the next one, or the end of the answer. */
static void advance(struct connection *connection)
{
    free(connection->out);
    connection->out = NULL;
    if (++connection->piece < CONTRACT_PIECES) {
        schedule(connection, connection->piece);
        return;
    }
    connection->answering = false;
    if (!connection->plain.keep || leaving)
        end(connection);
    else
        feed(connection);
}

static void send_some(struct connection *connection)
{
    ssize_t done = send(connection->fd, connection->out + connection->sent,
                        connection->out_size - connection->sent, MSG_NOSIGNAL);
    if (done < 0) {
        if (errno != EAGAIN && errno != EINTR)
            end(connection);
        return;
    }
    connection->sent += (size_t)done;
    if (connection->sent == connection->out_size)
        advance(connection);
}

/* As far as it goes without waiting. */
static void answer(struct connection *connection)
{
    while (connection->fd >= 0 && connection->answering) {
        if (!connection->out) {
            if (now_ms() < connection->due_ms)
                return;
            connection->out = plain_piece(&connection->plain, connection->piece, &connection->out_size);
            connection->sent = 0;
        }
        size_t before = connection->sent;
        bool waits = connection->out_size > 0;
        if (waits)
            send_some(connection);
        else
            advance(connection);
        if (connection->fd >= 0 && waits && connection->out && connection->sent == before)
            return;
    }
}

/* While an answer waits for its time, a client that hangs up is not looked at. */
static struct pollfd polled_as(const struct connection *connection)
{
    bool resting = connection->answering && !connection->out;
    return (struct pollfd){.fd = resting ? -1 : connection->fd, .events = connection->out ? POLLOUT : POLLIN};
}

/* Waits for whatever comes next; returns what poll has said of each. */
static size_t wait_for_all(struct pollfd *polled, size_t *ret_used)
{
    int64_t wait_ms = -1, now = now_ms();
    *ret_used = 0;
    for (size_t i = 0; i < CONNECTIONS; i++) {
        const struct connection *each = &connections[i];
        polled[i + 1] = polled_as(each);
        if (each->fd < 0)
            continue;
        ++*ret_used;
        int64_t left_ms = each->due_ms > now ? each->due_ms - now : 0;
        if (each->answering && !each->out && (wait_ms < 0 || left_ms < wait_ms))
            wait_ms = left_ms;
    }
    bool listens = !leaving && *ret_used < CONNECTIONS;
    polled[0] = (struct pollfd){.fd = listens ? STDIN_FILENO : -1, .events = POLLIN};
    if (leaving && *ret_used == 0)
        return 0;
    int ready = poll(polled, CONNECTIONS + 1, (int)wait_ms);
    for (size_t i = 0; ready < 0 && i <= CONNECTIONS; i++)
        polled[i].revents = 0;
    return 1;
}

int main(void)
{
    struct pollfd polled[CONNECTIONS + 1];
    size_t used;
    for (size_t i = 0; i < CONNECTIONS; i++)
        connections[i].fd = -1;
    if (fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK) != 0)
        return 1;
    while (wait_for_all(polled, &used)) {
        for (size_t i = 0; i < CONNECTIONS; i++) {
            struct connection *each = &connections[i];
            if (each->fd >= 0 && !each->answering && polled[i + 1].revents)
                receive(each);
            answer(each);
        }
        if (polled[0].revents)
            accept_all(CONNECTIONS - used);
    }
    return 0;
}
