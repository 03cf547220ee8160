/* SCGI for the loop: a request a connection; see connection.h. */
#include "pool/worker/host/exchange.h"

/* The longest header block that is taken. */
#define HEADER_LIMIT (1024 * 1024)

static void open_connection(struct connection *connection)
{
    scgi_decoder_init(&connection->scgi.decoder, HEADER_LIMIT);
    (void)exchange_new(connection);
}

/* Returns false after a fault. */
static bool take_header(struct connection *connection, struct bytes *bytes)
{
    struct scgi_decoder *decoder = &connection->scgi.decoder;
    struct exchange *exchange = connection->exchanges;
    enum scgi_event event;
    struct bytes piece;
    do
        event = params_scgi(&exchange->params, scgi_decoder_next(decoder, bytes, &piece), piece);
    while (event != SCGI_EVENT_MORE && event != SCGI_EVENT_END && event != SCGI_EVENT_FAULT);
    if (event == SCGI_EVENT_FAULT)
        fcgipool_log("a connection is closed, for it has sent %s", wire_fault_text(decoder->fault));
    if (event != SCGI_EVENT_END)
        return event == SCGI_EVENT_MORE;
    connection->scgi.has_header = true;
    connection->scgi.body_left = decoder->content_length;
    exchange_asked(exchange);
    return true;
}

/* The exchange may have been answered before all of it is there, so it is looked for each time. */
static bool received(struct connection *connection, struct bytes bytes)
{
    bool had_header = connection->scgi.has_header;
    if (!had_header && !take_header(connection, &bytes))
        return false;
    if (!connection->scgi.has_header)
        return true;
    struct bytes piece =
        bytes_take(&bytes, connection->scgi.body_left < bytes.length ? (size_t)connection->scgi.body_left
                                                                     : bytes.length);
    bool ends = connection->scgi.body_left == piece.length && (!had_header || piece.length > 0);
    connection->scgi.body_left -= piece.length;
    if (piece.length > 0 && connection->exchanges)
        exchange_body(connection->exchanges, piece);
    if (ends && connection->exchanges)
        exchange_body_end(connection->exchanges);
    return true;
}

/* A client may end its side after the request. */
static bool ended(struct connection *connection)
{
    return connection->scgi.has_header && connection->scgi.body_left == 0;
}

static bool is_done(const struct connection *connection)
{
    return !connection->exchanges;
}

static void answer(struct exchange *exchange, struct bytes bytes)
{
    buffer_add(&exchange->connection->out, bytes);
    connection_wrote(exchange->connection, bytes.length);
}

static void complain(struct exchange *exchange, struct bytes line)
{
    (void)exchange;
    fcgipool_log("%.*s", (int)line.length, (const char *)line.data);
}

/* There is no sign of it but the end of the connection. */
static void finish(struct exchange *exchange)
{
    connection_wrote(exchange->connection, 0);
}

const struct protocol async_scgi = {
    .open = open_connection,
    .received = received,
    .ended = ended,
    .is_done = is_done,
    .answer = answer,
    .finish = finish,
    .complain = complain,
};
