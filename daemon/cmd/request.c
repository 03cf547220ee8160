/* One request on a socket; see request.h. */
#include "daemon/cmd/request.h"

#include "daemon/base/clock.h"
#include "daemon/cmd/options.h"
#include "protocol/cgi_response.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER_SIZE = 65536 };

/* Not an exit status: the exchange goes on. */
enum { GOES_ON = -1 };

struct exchange {
    int fd;
    int64_t deadline_ms; /* 0: none */
    bool include;
    bool sends; /* false once the worker does not read any more */
    bool reset; /* said by send(): what was received may end too early */
    struct bytes body;
    const struct dialect *dialect;
    union dialect_client client;
    struct cgi_response response;
    uint64_t body_size;
    struct moments {
        int64_t begun_ns, connected_ns, answered_ns; /* answered: the first byte; 0: not yet */
    } moments;
    size_t out_position;
    size_t out_length;
    uint8_t out[BUFFER_SIZE];
    uint8_t in[BUFFER_SIZE];
};

static void exchange_fini(struct exchange *exchange)
{
    if (exchange->fd >= 0)
        close(exchange->fd);
}

/* Milliseconds until the deadline, for poll; -1 when there is none. */
static int time_left(const struct exchange *exchange)
{
    int64_t left = exchange->deadline_ms - clock_now_ms();

    if (!exchange->deadline_ms)
        return -1;
    return left > 0 ? (int)left : 0;
}

/* A blocking connect with a time limit, because a full queue of a unix socket cannot be polled for.
 * Returns GOES_ON or the status to exit with. */
static int connect_to(struct exchange *exchange, const struct address *address)
{
    char name[ADDRESS_TEXT_SIZE];
    int left_ms = time_left(exchange);
    struct timeval limit = {.tv_sec = left_ms / 1000, .tv_usec = left_ms % 1000 * 1000 + 1};

    address_format(address, name, sizeof name);
    exchange->fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (exchange->fd < 0)
        return options_fail("request", EXIT_FAILED, "socket: %s", strerror(errno));
    if (left_ms >= 0 && setsockopt(exchange->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) < 0)
        return options_fail("request", EXIT_FAILED, "SO_SNDTIMEO: %s", strerror(errno));
    if (connect(exchange->fd, (const struct sockaddr *)&address->storage, address->length) == 0)
        return GOES_ON;
    switch (errno) {
    case ECONNREFUSED:
    case ENOENT:
        return options_fail("request", EXIT_NO_MASTER, "%s: nobody listens there (%s)", name,
                            strerror(errno));
    case EAGAIN:
    case EINPROGRESS:
    case ETIMEDOUT:
        return options_fail("request", EXIT_NOT_NOW, "%s: timed out before the connection was made", name);
    default:
        return options_fail("request", EXIT_FAILED, "%s: %s", name, strerror(errno));
    }
}

/* Sends what the socket takes now. An error is no reason to stop: the answer may be there all the same. */
static void send_some(struct exchange *exchange)
{
    ssize_t sent = send(exchange->fd, exchange->out + exchange->out_position,
                        exchange->out_length - exchange->out_position, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (sent >= 0)
        exchange->out_position += (size_t)sent;
    else if (errno != EAGAIN && errno != EINTR) {
        exchange->sends = false;
        exchange->reset = errno == ECONNRESET;
    }
}

/* Splits the response into header and body. A header that is none shows at the end. */
static void print_response(struct exchange *exchange, struct bytes piece)
{
    struct bytes part;

    for (;;) {
        switch (cgi_response_next(&exchange->response, &piece, &part)) {
        case CGI_RESPONSE_MORE:
        case CGI_RESPONSE_FAULT:
            return;
        case CGI_RESPONSE_HEADER:
            if (exchange->include)
                fwrite(part.data, 1, part.length, stdout);
            break;
        case CGI_RESPONSE_BODY:
            exchange->body_size += part.length;
            fwrite(part.data, 1, part.length, stdout);
            break;
        }
    }
}

/* The status to exit with at the end of the answer. */
static int judge(const struct exchange *exchange)
{
    const struct cgi_response *response = &exchange->response;
    char complaint[256];

    if (fflush(stdout) != 0 || ferror(stdout))
        return options_fail("request", EXIT_FAILED, "the answer could not be written: %s", strerror(errno));
    if (exchange->dialect->complains(&exchange->client, complaint, sizeof complaint))
        return options_fail("request", EXIT_FAILED, "%s", complaint);
    if (response->fault != WIRE_FAULT_NONE)
        return options_fail("request", EXIT_FAILED, "received %s", wire_fault_text(response->fault));
    if (!cgi_response_complete(response))
        return options_fail("request", EXIT_FAILED, "received an answer without a complete response header");
    if (response->status >= 500)
        return options_fail("request", EXIT_FAILED, "the answer has status %u", response->status);
    return EXIT_DONE;
}

/* Takes what has arrived. Returns GOES_ON or the status to exit with. */
static int receive_some(struct exchange *exchange)
{
    ssize_t got = recv(exchange->fd, exchange->in, sizeof exchange->in, MSG_DONTWAIT);
    struct bytes input = {.data = exchange->in, .length = got > 0 ? (size_t)got : 0};
    struct bytes piece;

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return GOES_ON;
    if (got == 0 && exchange->reset) {
        got = -1; /* send() was told, and recv() sees an end like any other */
        errno = ECONNRESET;
    }
    if (got < 0)
        return options_fail("request", EXIT_FAILED, "the connection broke before the end of the request: %s",
                            strerror(errno));
    if (got == 0)
        return judge(exchange);
    if (!exchange->moments.answered_ns)
        exchange->moments.answered_ns = clock_now_ns();
    for (;;) {
        switch (exchange->dialect->receive(&exchange->client, &input, &piece)) {
        case DIALECT_MORE:
            return GOES_ON;
        case DIALECT_ANSWER:
            print_response(exchange, piece);
            break;
        case DIALECT_ERROR:
            fwrite(piece.data, 1, piece.length, stderr);
            break;
        case DIALECT_END:
            return judge(exchange);
        }
    }
}

/* Sends and receives at the same time until the answer is complete. Returns the status to exit with. */
static int run(struct exchange *exchange)
{
    int status = GOES_ON;

    while (status == GOES_ON) {
        struct pollfd ready = {.fd = exchange->fd, .events = POLLIN};
        int count;

        if (exchange->out_position == exchange->out_length) {
            exchange->out_position = 0;
            exchange->out_length = exchange->dialect->send(&exchange->client, &exchange->body, exchange->out,
                                                           sizeof exchange->out);
        }
        if (exchange->sends && exchange->out_length > 0)
            ready.events |= POLLOUT;
        count = poll(&ready, 1, time_left(exchange));
        if (count < 0 && errno != EINTR)
            return options_fail("request", EXIT_FAILED, "poll: %s", strerror(errno));
        if (count == 0)
            return options_fail("request", EXIT_NOT_NOW, "timed out before the answer was complete");
        if (count > 0 && ready.revents & POLLOUT)
            send_some(exchange);
        if (count > 0 && ready.revents & ~POLLOUT)
            status = receive_some(exchange);
    }
    return status;
}

static void tell_moment(const struct exchange *exchange, const char *what, int64_t at_ns)
{
    if (at_ns)
        fprintf(stderr, "%s after %.3f ms, ", what, (double)(at_ns - exchange->moments.begun_ns) / 1e6);
}

static void tell(const struct exchange *exchange)
{
    tell_moment(exchange, "connected", exchange->moments.connected_ns);
    tell_moment(exchange, "first byte", exchange->moments.answered_ns);
    tell_moment(exchange, "end", clock_now_ns());
    if (cgi_response_complete(&exchange->response))
        fprintf(stderr, "status %u, ", exchange->response.status);
    fprintf(stderr, "%" PRIu64 " bytes of body\n", exchange->body_size);
}

int request_run(const struct request *request)
{
    __attribute__((cleanup(exchange_fini))) struct exchange exchange = {
        .fd = -1,
        .deadline_ms = request->timeout_ms ? clock_now_ms() + request->timeout_ms : 0,
        .include = request->include,
        .sends = true,
        .body = request->body,
        .dialect = request->dialect,
    };
    enum wire_fault fault = request->dialect->start(&exchange.client, request->params, request->param_count);
    int status;

    if (fault != WIRE_FAULT_NONE)
        return options_fail("request", EXIT_USAGE, "cannot send %s", wire_fault_text(fault));
    cgi_response_init(&exchange.response);
    exchange.moments.begun_ns = clock_now_ns();
    status = connect_to(&exchange, &request->address);
    if (status == GOES_ON) {
        exchange.moments.connected_ns = clock_now_ns();
        status = run(&exchange);
    }
    if (request->verbose)
        tell(&exchange);
    return status;
}
