/* FastCGI for the loop: many requests at a time on a connection; see connection.h. */
#include "pool/worker/host/exchange.h"

static const struct fcgi_pairs_limits params_limits = {
    .name = FCGI_CONTENT_MAX,
    .value = 1024 * 1024,
    .total = 4 * 1024 * 1024,
};

static struct exchange *exchange_of(struct fcgi_server_request *wire)
{
    return (struct exchange *)((char *)wire - offsetof(struct exchange, wire));
}

static void open_connection(struct connection *connection)
{
    const struct fcgi_server_limits limits = {
        .capacity = CONNECTION_REQUESTS,
        .max_conns = connection->async->limit,
        .max_reqs = connection->async->limit,
        .params = params_limits,
    };
    fcgi_server_init(&connection->fcgi.server, connection->fcgi.places, &limits);
}

/* ---- what comes ---- */

static void begin(struct connection *connection)
{
    struct exchange *exchange = exchange_new(connection);
    exchange->is_authorizer = connection->fcgi.server.begun.role == FCGI_AUTHORIZER;
    fcgi_server_take(&connection->fcgi.server, &exchange->wire);
}

static void send_reply(struct connection *connection, struct bytes reply)
{
    buffer_add(&connection->out, reply);
    connection_wrote(connection, reply.length);
}

static void take(struct connection *connection, enum fcgi_server_event event, struct exchange *exchange,
                 struct bytes piece)
{
    switch (event) {
    case FCGI_SERVER_BEGIN:
        begin(connection);
        break;
    case FCGI_SERVER_NAME:
        params_name(&exchange->params, piece);
        break;
    case FCGI_SERVER_VALUE:
        params_value(&exchange->params, piece);
        break;
    case FCGI_SERVER_PAIR_END:
        params_pair_end(&exchange->params);
        break;
    case FCGI_SERVER_PARAMS_END:
        exchange_asked(exchange);
        break;
    case FCGI_SERVER_STDIN:
        exchange_body(exchange, piece);
        break;
    case FCGI_SERVER_STDIN_END:
        exchange_body_end(exchange);
        break;
    case FCGI_SERVER_ABORT:
        exchange_abort(exchange);
        break;
    case FCGI_SERVER_REPLY:
        send_reply(connection, piece);
        break;
    case FCGI_SERVER_PAIR:
    case FCGI_SERVER_MORE:
    case FCGI_SERVER_FAULT:
        break;
    }
}

static bool received(struct connection *connection, struct bytes bytes)
{
    struct fcgi_server *server = &connection->fcgi.server;
    struct fcgi_server_request *wire;
    struct bytes piece;
    for (;;) {
        enum fcgi_server_event event = fcgi_server_next(server, &bytes, &wire, &piece);
        if (event == FCGI_SERVER_MORE)
            return true;
        if (event == FCGI_SERVER_FAULT) {
            fcgipool_log("a connection is closed, for it has sent %s", wire_fault_text(server->fault));
            return false;
        }
        take(connection, event, wire ? exchange_of(wire) : NULL, piece);
    }
}

/* A web server that closes wants no answer any more. */
static bool ended(struct connection *connection)
{
    (void)connection;
    return false;
}

/* ---- what goes ---- */

static bool is_done(const struct connection *connection)
{
    return !connection->fcgi.server.keeps && connection->fcgi.server.active == 0;
}

/* As records of a stream, each on its boundary. */
static void add_records(struct exchange *exchange, enum fcgi_type type, struct bytes bytes)
{
    struct connection *connection = exchange->connection;
    size_t before = connection->out.length - connection->out.taken;
    while (bytes.length > 0) {
        struct bytes content = bytes_take(&bytes, FCGI_CONTENT_ALIGNED_MAX);
        struct fcgi_header header = {
            .type = (uint8_t)type,
            .request_id = exchange->wire.id,
            .content_length = (uint16_t)content.length,
            .padding_length = fcgi_padding((uint16_t)content.length),
        };
        uint8_t *to =
            buffer_room(&connection->out, FCGI_HEADER_LENGTH + content.length + header.padding_length);
        fcgi_encode_header(&header, to);
        bytes_copy(to + FCGI_HEADER_LENGTH, content);
        memset(to + FCGI_HEADER_LENGTH + content.length, 0, header.padding_length);
        connection->out.length += FCGI_HEADER_LENGTH + content.length + header.padding_length;
    }
    connection_wrote(connection, connection->out.length - connection->out.taken - before);
}

static void answer(struct exchange *exchange, struct bytes bytes)
{
    add_records(exchange, FCGI_STDOUT, bytes);
}

static void complain(struct exchange *exchange, struct bytes line)
{
    add_records(exchange, FCGI_STDERR, line);
    add_records(exchange, FCGI_STDERR, bytes_of("\n"));
}

static void finish(struct exchange *exchange)
{
    static const struct fcgi_end_request end = {.protocol_status = FCGI_REQUEST_COMPLETE};
    struct connection *connection = exchange->connection;
    uint8_t *to = buffer_room(&connection->out, FCGI_SERVER_END_MAX);
    size_t length =
        fcgi_server_end(&connection->fcgi.server, &exchange->wire, &end, exchange->complained, to);
    connection->out.length += length;
    connection_wrote(connection, length);
}

const struct protocol async_fcgi = {
    .open = open_connection,
    .received = received,
    .ended = ended,
    .is_done = is_done,
    .answer = answer,
    .finish = finish,
    .complain = complain,
};
