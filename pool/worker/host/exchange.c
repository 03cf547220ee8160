/* Requests in the loop; see exchange.h. */
#include "pool/worker/host/exchange.h"

#include <errno.h>

static const struct lane lane;

static struct exchange *exchange_of(struct fcgipool_request *request)
{
    return (struct exchange *)request;
}

/* ---- lists ---- */

struct exchange *exchange_new(struct connection *connection)
{
    struct exchange *exchange = (struct exchange *)buffer_must(calloc(1, sizeof *exchange));
    exchange->connection = connection;
    exchange->async = connection->async;
    exchange->async->exchanges++;
    exchange->body = BODY_INIT;
    exchange->body.streams = connection->async->app->streams;
    exchange->next_here = connection->exchanges;
    exchange->at_here = &connection->exchanges;
    if (exchange->next_here)
        exchange->next_here->at_here = &exchange->next_here;
    connection->exchanges = exchange;
    return exchange;
}

static void take_in_hand(struct exchange *exchange)
{
    struct async *async = exchange->async;
    exchange->since_ns = async_now();
    exchange->at = async->end;
    *async->end = exchange;
    async->end = &exchange->next;
    if (async->hosted)
        async->hosted->begun();
    async_ticks(async);
}

static void leave_hand(struct exchange *exchange)
{
    struct async *async = exchange->async;
    if (!exchange->since_ns)
        return;
    *exchange->at = exchange->next;
    if (exchange->next)
        exchange->next->at = exchange->at;
    else
        async->end = exchange->at;
    if (async->hosted)
        async->hosted->ended(exchange->since_ns);
    exchange->since_ns = 0;
}

/* It has more of its body than it reads, or not any more. */
static void hold(struct exchange *exchange, bool holds)
{
    if (exchange->holds == holds)
        return;
    exchange->holds = holds;
    connection_hold(exchange->connection, holds);
}

/* Nothing more of it is on the wire. */
static void leave_connection(struct exchange *exchange)
{
    leave_hand(exchange);
    *exchange->at_here = exchange->next_here;
    if (exchange->next_here)
        exchange->next_here->at_here = exchange->at_here;
    exchange->connection->rests_ns = async_now();
    hold(exchange, false);
    exchange->connection = NULL;
}

/* Behind those who wait already. */
static void wait_for_turn(struct exchange *exchange)
{
    struct async *async = exchange->async;
    if (exchange->is_waiting)
        return;
    exchange->is_waiting = true;
    exchange->next_waiting = NULL;
    exchange->at_waiting = async->waiting_end;
    *async->waiting_end = exchange;
    async->waiting_end = &exchange->next_waiting;
}

static void stop_waiting(struct exchange *exchange)
{
    struct async *async = exchange->async;
    if (!exchange->is_waiting)
        return;
    *exchange->at_waiting = exchange->next_waiting;
    if (exchange->next_waiting)
        exchange->next_waiting->at_waiting = exchange->at_waiting;
    else
        async->waiting_end = exchange->at_waiting;
    exchange->is_waiting = false;
}

static void drop(struct exchange *exchange)
{
    struct async *async = exchange->async;
    stop_waiting(exchange);
    params_fini(&exchange->params);
    body_fini(&exchange->body);
    buffer_fini(&exchange->out);
    request_fini(&exchange->request);
    free(exchange);
    async->exchanges--;
    async_look_at_end(async);
}

/* ---- the answer ---- */

static void send_kept(struct exchange *exchange)
{
    struct connection *connection = exchange->connection;
    if (exchange->out.length == 0)
        return;
    connection->async->protocol->answer(exchange, buffer_rest(&exchange->out));
    buffer_clear(&exchange->out);
    exchange->mark = connection->written;
}

/* On the wire; the application may have it still. */
static void end_answer(struct exchange *exchange)
{
    send_kept(exchange);
    exchange->async->protocol->finish(exchange);
    leave_connection(exchange);
}

static void complete(struct exchange *exchange)
{
    if (exchange->connection) {
        (void)request_send_head(&exchange->request);
        end_answer(exchange);
    }
    drop(exchange);
}

/* ---- the application's turn ---- */

static void enter(struct exchange *exchange)
{
    exchange->depth++;
}

/* What is kept back would never be sent while somebody waits for that. */
static void send_awaited(struct exchange *exchange)
{
    if (exchange->connection && exchange->request.on_sent.function)
        send_kept(exchange);
}

/* It may be gone after this. */
static void leave(struct exchange *exchange)
{
    send_awaited(exchange);
    if (--exchange->depth == 0 && exchange->request.finished)
        complete(exchange);
}

static void serve(struct exchange *exchange)
{
    exchange->served = true;
    enter(exchange);
    request_serve(&exchange->request, exchange->async->app);
    leave(exchange);
}

/* Something to be read, though it were that there will be no more. */
static bool has_news(const struct exchange *exchange)
{
    const struct fcgipool_request *request = &exchange->request;
    return request->on_body.function && !request->body_over &&
           (exchange->body.unread > 0 || exchange->body.complete || !exchange->connection);
}

static bool is_sent(const struct exchange *exchange)
{
    return exchange->request.on_sent.function && fcgipool_queued(&exchange->request) <= exchange->request.low;
}

static void call_back(struct exchange *exchange)
{
    stop_waiting(exchange);
    enter(exchange);
    if (is_sent(exchange))
        request_tell_sent(&exchange->request);
    if (!exchange->request.finished && has_news(exchange))
        request_tell_body(&exchange->request);
    if (!exchange->request.finished && exchange->connection && has_news(exchange))
        wait_for_turn(exchange);
    leave(exchange);
}

void exchange_call_back(struct async *async)
{
    unsigned count = 0;
    /* Those who come to wait meanwhile have their turn later. */
    for (const struct exchange *exchange = async->waiting; exchange; exchange = exchange->next_waiting)
        count++;
    for (; count > 0 && async->waiting; count--)
        call_back(async->waiting);
}

void exchange_sent(struct connection *connection)
{
    for (struct exchange *exchange = connection->exchanges; exchange; exchange = exchange->next_here)
        if (is_sent(exchange))
            wait_for_turn(exchange);
}

/* ---- what comes ---- */

void exchange_asked(struct exchange *exchange)
{
    params_end(&exchange->params);
    request_init(&exchange->request, &lane, exchange->params.list);
    exchange->request.is_authorizer = exchange->is_authorizer;
    exchange->request.box = &exchange->async->box;
    exchange->body.complete = exchange->is_authorizer;
    take_in_hand(exchange);
    if (exchange->is_authorizer || exchange->async->app->streams)
        serve(exchange);
}

/* Without the application. */
static void answer_plainly(struct exchange *exchange, int status, const char *text)
{
    fcgipool_status(&exchange->request, status);
    fcgipool_header(&exchange->request, "Content-Type", "text/plain");
    fcgipool_printf(&exchange->request, "%s\n", text);
}

void exchange_body(struct exchange *exchange, struct bytes piece)
{
    if (exchange->is_authorizer)
        return;
    int result = body_add(&exchange->body, piece);
    if (result) {
        fcgipool_log("a request body cannot be kept in TMPDIR: %s", strerror(-result));
        answer_plainly(exchange, 500, "Internal Server Error");
        complete(exchange);
        return;
    }
    if (exchange->served && exchange->body.unread > EXCHANGE_UNREAD)
        hold(exchange, true);
    if (exchange->served && has_news(exchange))
        wait_for_turn(exchange);
}

void exchange_body_end(struct exchange *exchange)
{
    if (exchange->is_authorizer)
        return;
    exchange->body.complete = true;
    if (!exchange->served)
        serve(exchange);
    else if (has_news(exchange))
        wait_for_turn(exchange);
}

/* ---- what goes wrong ---- */

/* The application hears of it, and has to finish; or never had it. */
static void give_up(struct exchange *exchange)
{
    if (!exchange->served) {
        drop(exchange);
        return;
    }
    enter(exchange);
    request_abort(&exchange->request);
    if (!exchange->request.finished && (has_news(exchange) || is_sent(exchange)))
        wait_for_turn(exchange); /* it hears of it from what it calls then */
    leave(exchange);
}

void exchange_abort(struct exchange *exchange)
{
    buffer_clear(&exchange->out);
    end_answer(exchange);
    give_up(exchange);
}

void exchange_lose(struct exchange *exchange)
{
    leave_connection(exchange);
    give_up(exchange);
}

void exchange_expire(struct exchange *exchange)
{
    const char *method = fcgipool_param(&exchange->request, "REQUEST_METHOD");
    const char *uri = fcgipool_param(&exchange->request, "REQUEST_URI");
    fcgipool_log("%s %s is older than timeout, and is ended", method ? method : "a request",
                 uri ? uri : "without a URI");
    if (!exchange->request.head_out) {
        buffer_clear(&exchange->request.head);
        answer_plainly(exchange, 504, "Gateway Timeout");
    }
    end_answer(exchange);
    give_up(exchange);
}

/* ---- the lane ---- */

static ssize_t read_body(struct fcgipool_request *request, void *ret_bytes, size_t size)
{
    struct exchange *exchange = exchange_of(request);
    ssize_t done = body_read(&exchange->body, ret_bytes, size);
    if (exchange->connection && exchange->body.unread <= EXCHANGE_UNREAD / 2)
        hold(exchange, false);
    return done;
}

static int write_answer(struct fcgipool_request *request, struct bytes bytes)
{
    struct exchange *exchange = exchange_of(request);
    if (!exchange->connection)
        return -ECONNABORTED;
    buffer_add(&exchange->out, bytes);
    if (exchange->out.length >= EXCHANGE_KEPT)
        send_kept(exchange);
    else if (exchange->depth == 0) /* from a watcher of the application's */
        send_awaited(exchange);
    return 0;
}

static int flush(struct fcgipool_request *request)
{
    struct exchange *exchange = exchange_of(request);
    if (!exchange->connection)
        return -ECONNABORTED;
    send_kept(exchange);
    return 0;
}

static void complain(struct fcgipool_request *request, struct bytes line)
{
    struct exchange *exchange = exchange_of(request);
    if (!exchange->connection)
        return;
    exchange->complained = true;
    exchange->async->protocol->complain(exchange, line);
}

static size_t queued(const struct fcgipool_request *request)
{
    const struct exchange *exchange = (const struct exchange *)request;
    const struct connection *connection = exchange->connection;
    if (!connection)
        return 0;
    return exchange->out.length +
           (exchange->mark > connection->sent ? (size_t)(exchange->mark - connection->sent) : 0);
}

static void wants(struct fcgipool_request *request)
{
    struct exchange *exchange = exchange_of(request);
    send_awaited(exchange);
    if (request->finished && exchange->depth == 0)
        complete(exchange);
    else if (has_news(exchange) || is_sent(exchange))
        wait_for_turn(exchange);
}

static const struct lane lane = {
    .read = read_body,
    .write = write_answer,
    .flush = flush,
    .complain = complain,
    .queued = queued,
    .wants = wants,
};
