/* SCGI, for a thread that waits: a request a connection; see blocking.h. */
#include "pool/worker/host/blocking.h"

#include "pool/worker/host/patience.h"
#include "protocol/scgi.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* The longest header block that is taken. */
#define HEADER_LIMIT (1024 * 1024)
#define BUFFER_SIZE  16384
/* So much of an answer is kept back at most. */
#define ANSWER_SIZE 16384
/* So long the client may take to read the end of an answer, as with libfcgi. */
#define LINGER_MS 2000

struct exchange {
    struct fcgipool_request request;
    int fd;
    struct params params;
    uint64_t body_left;
    struct bytes input; /* in `buffer`, that is not used yet */
    struct buffer answer;
    uint8_t buffer[BUFFER_SIZE];
};

static struct exchange *exchange_of(struct fcgipool_request *request)
{
    return (struct exchange *)request;
}

/* As read(), but for EINTR. */
static ssize_t receive(int fd, void *ret_bytes, size_t size)
{
    ssize_t done;
    do
        done = read(fd, ret_bytes, size);
    while (done < 0 && errno == EINTR);
    return done;
}

static ssize_t read_body(struct fcgipool_request *request, void *ret_bytes, size_t size)
{
    struct exchange *exchange = exchange_of(request);
    ssize_t done = 0;
    if (size > exchange->body_left)
        size = (size_t)exchange->body_left;
    if (size == 0)
        return 0;
    if (exchange->input.length > 0) {
        struct bytes piece = bytes_take(&exchange->input, size);
        bytes_copy((uint8_t *)ret_bytes, piece);
        done = (ssize_t)piece.length;
    } else {
        done = receive(exchange->fd, ret_bytes, size);
    }
    if (done <= 0)
        return -ECONNABORTED;
    exchange->body_left -= (uint64_t)done;
    return done;
}

static int flush(struct fcgipool_request *request)
{
    struct exchange *exchange = exchange_of(request);
    struct bytes rest = buffer_rest(&exchange->answer);
    while (rest.length > 0) {
        ssize_t done = send(exchange->fd, rest.data, rest.length, MSG_NOSIGNAL);
        if (done < 0 && errno != EINTR) {
            request->aborted = true;
            return -ECONNABORTED;
        }
        if (done > 0)
            (void)bytes_take(&rest, (size_t)done);
    }
    buffer_clear(&exchange->answer);
    return 0;
}

static int write_answer(struct fcgipool_request *request, struct bytes bytes)
{
    struct buffer *answer = &exchange_of(request)->answer;
    buffer_add(answer, bytes);
    return answer->length < ANSWER_SIZE ? 0 : flush(request);
}

static void complain(struct fcgipool_request *request, struct bytes line)
{
    (void)request;
    fcgipool_log("%.*s", (int)line.length, (const char *)line.data);
}

static const struct lane lane = {
    .read = read_body,
    .write = write_answer,
    .flush = flush,
    .complain = complain,
    .queued = blocking_queued,
    .wants = blocking_wants,
};

/* Takes what is there, to the end of the block at most. */
static enum scgi_event take_header(struct exchange *exchange, struct scgi_decoder *decoder)
{
    enum scgi_event event;
    struct bytes piece;
    do
        event = params_scgi(&exchange->params, scgi_decoder_next(decoder, &exchange->input, &piece), piece);
    while (event != SCGI_EVENT_MORE && event != SCGI_EVENT_END && event != SCGI_EVENT_FAULT);
    return event;
}

/* Returns whether a request has come. */
static bool read_header(struct exchange *exchange)
{
    struct scgi_decoder decoder;
    enum scgi_event event;
    scgi_decoder_init(&decoder, HEADER_LIMIT);
    while ((event = take_header(exchange, &decoder)) == SCGI_EVENT_MORE) {
        ssize_t done = receive(exchange->fd, exchange->buffer, sizeof exchange->buffer);
        if (done <= 0)
            return false;
        exchange->input = (struct bytes){exchange->buffer, (size_t)done};
    }
    if (event == SCGI_EVENT_FAULT)
        fcgipool_log("a connection is closed, for it has sent %s", wire_fault_text(decoder.fault));
    exchange->body_left = decoder.content_length;
    params_end(&exchange->params);
    return event == SCGI_EVENT_END;
}

/* A close with bytes that were not read would cut off the answer on TCP. */
static void linger(const struct exchange *exchange)
{
    struct pollfd ready = {.fd = exchange->fd, .events = POLLIN};
    char unread[BUFFER_SIZE];
    (void)shutdown(exchange->fd, SHUT_WR);
    while (poll(&ready, 1, LINGER_MS) > 0 && receive(exchange->fd, unread, sizeof unread) > 0)
        ;
}

static void serve(struct exchange *exchange, const struct fcgipool_app *app, struct post_box *box)
{
    if (!read_header(exchange))
        return;
    request_init(&exchange->request, &lane, exchange->params.list);
    blocking_serve(&exchange->request, app, box);
    if (flush(&exchange->request) == 0)
        linger(exchange);
    request_fini(&exchange->request);
    blocking_served();
}

void blocking_scgi(const struct fcgipool_app *app, struct post_box *box)
{
    struct exchange exchange;
    for (;;) {
        int fd = accept(0, NULL, NULL);
        if (fd < 0 && patience_has(errno))
            continue;
        if (fd < 0)
            return;
        exchange.fd = fd;
        exchange.params = (struct params){0};
        exchange.input = (struct bytes){0};
        exchange.answer = (struct buffer){0};
        serve(&exchange, app, box);
        params_fini(&exchange.params);
        buffer_fini(&exchange.answer);
        (void)close(fd);
    }
}
