/* Connections; see connection.h. */
#include "pool/worker/host/connection.h"

#include "pool/worker/host/exchange.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* So long the client may take to close after our last byte. */
#define LINGER_SECONDS 2.0
/* With more than that to be sent nothing is received; with less it is again. */
#define UNSENT_MAX 1048576
#define UNSENT_LOW 524288
/* So much memory a connection may keep for its next answers. */
#define KEPT_SIZE 65536

/* ---- what is waited for ---- */

static size_t unsent(const struct connection *connection)
{
    return buffer_rest(&connection->out).length;
}

static void wait_to_send(struct connection *connection, bool waits)
{
    struct async *async = connection->async;
    if (waits == (ev_is_active(&connection->writable) != 0))
        return;
    async->sending += waits ? 1 : -1U;
    if (!waits) {
        ev_io_stop(async->loop, &connection->writable);
        return;
    }
    ev_io_start(async->loop, &connection->writable);
    connection->sent_ns = async_now(); /* from now on he is waited for */
    async_ticks(async);
}

/* Reading may go on, or has to wait. */
static void set_reading(struct connection *connection)
{
    struct ev_loop *loop = connection->async->loop;
    size_t limit = ev_is_active(&connection->readable) ? UNSENT_MAX : UNSENT_LOW;
    bool reads = !connection->is_dead && !connection->deaf && !connection->holders &&
                 (connection->shut || unsent(connection) <= limit);
    if (reads)
        ev_io_start(loop, &connection->readable);
    else
        ev_io_stop(loop, &connection->readable);
}

/* ---- the end ---- */

void connection_close(struct connection *connection)
{
    struct async *async = connection->async;
    if (connection->is_dead)
        return;
    connection->is_dead = true;
    ev_io_stop(async->loop, &connection->readable);
    wait_to_send(connection, false);
    ev_timer_stop(async->loop, &connection->linger);
    *connection->at = connection->next;
    if (connection->next)
        connection->next->at = connection->at;
    connection->next_dead = async->dead;
    async->dead = connection;
    while (connection->exchanges)
        exchange_lose(connection->exchanges);
    (void)close(connection->fd);
    async->open--;
    intake_release(&async->intake);
    async_look_at_end(async);
}

void connection_bury(struct async *async)
{
    for (struct connection *connection = async->dead, *next; connection; connection = next) {
        next = connection->next_dead;
        buffer_fini(&connection->out);
        free(connection);
    }
    async->dead = NULL;
}

static void on_linger(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    connection_close(timer->data);
}

/* Everything is sent. A close with bytes that were not read would cut it off on TCP, so the client goes
 * first. */
static void shut(struct connection *connection)
{
    struct ev_loop *loop = connection->async->loop;
    if (connection->deaf || shutdown(connection->fd, SHUT_WR) != 0) {
        connection_close(connection);
        return;
    }
    connection->shut = true;
    set_reading(connection);
    ev_timer_set(&connection->linger, LINGER_SECONDS, 0.0);
    ev_timer_start(loop, &connection->linger);
}

/* ---- sending ---- */

void connection_wrote(struct connection *connection, size_t size)
{
    struct async *async = connection->async;
    connection->written += size;
    set_reading(connection);
    if (connection->is_dirty || connection->is_dead)
        return;
    connection->is_dirty = true;
    connection->next_dirty = async->dirty;
    async->dirty = connection;
}

/* Returns whether all of it is sent. */
static bool send_out(struct connection *connection)
{
    struct bytes rest;
    while ((rest = buffer_rest(&connection->out)).length > 0) {
        ssize_t done = send(connection->fd, rest.data, rest.length, MSG_NOSIGNAL);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0 && errno == EAGAIN)
            break;
        if (done < 0) {
            connection_close(connection);
            return false;
        }
        connection->sent += (uint64_t)done;
        connection->sent_ns = async_now();
        buffer_drop(&connection->out, (size_t)done);
    }
    return rest.length == 0;
}

void connection_send(struct connection *connection)
{
    if (connection->is_dead || connection->shut)
        return;
    bool all = send_out(connection);
    if (connection->is_dead)
        return;
    wait_to_send(connection, !all);
    if (all && connection->out.capacity > KEPT_SIZE)
        buffer_fini(&connection->out);
    set_reading(connection);
    exchange_sent(connection);
    if (!all || connection->exchanges)
        return;
    if (connection->async->protocol->is_done(connection) || connection->deaf)
        shut(connection);
    else if (connection->async->ending && connection_rests(connection))
        connection_retire(connection);
}

static void on_writable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop, (void)events;
    connection_send(watcher->data);
}

/* ---- receiving ---- */

void connection_hold(struct connection *connection, bool holds)
{
    connection->holders += holds ? 1 : -1U;
    set_reading(connection);
    if (holds)
        async_ticks(connection->async);
}

/* Whether the client has closed its socket, and not only ended its side of it: on a unix socket that shows.
 */
static bool has_hung_up(const struct connection *connection)
{
    struct pollfd about = {.fd = connection->fd, .events = POLLIN};
    return poll(&about, 1, 0) > 0 && about.revents & (POLLHUP | POLLERR);
}

bool connection_rests(const struct connection *connection)
{
    return !connection->exchanges && !connection->shut && unsent(connection) == 0;
}

bool connection_has_request(const struct connection *connection)
{
    for (const struct exchange *exchange = connection->exchanges; exchange; exchange = exchange->next_here)
        if (exchange->since_ns)
            return true;
    return connection->shut || unsent(connection) > 0;
}

/* The rest of these will not come. */
static void abort_incomplete(struct connection *connection)
{
    struct exchange *exchange = connection->exchanges;
    while (exchange) {
        bool incomplete = !exchange->body.complete;
        if (incomplete)
            exchange_abort(exchange);
        exchange =
            incomplete ? connection->exchanges : exchange->next_here; /* others may have gone with it */
    }
}

/* What is left to be answered is. The library takes a look at a connection that rests for a wait for the next
 * one: so whether the client has hung up is asked last. */
static void hear_end(struct connection *connection)
{
    bool goes_on =
        connection->retired || (connection->async->protocol->ended(connection) && !has_hung_up(connection));
    if (connection->shut || !goes_on || connection_rests(connection)) {
        connection_close(connection);
        return;
    }
    connection->deaf = true;
    set_reading(connection);
    abort_incomplete(connection);
}

void connection_retire(struct connection *connection)
{
    if (connection->retired)
        return;
    connection->retired = true;
    (void)shutdown(connection->fd, SHUT_RD);
}

void connection_look_after(struct connection *connection, uint64_t now_ns, uint64_t patience_ns)
{
    /* It may be able to take something long before the loop is told of it. */
    if (ev_is_active(&connection->writable))
        connection_send(connection);
    if (connection->is_dead)
        return;
    bool waits = ev_is_active(&connection->writable);
    bool too_long = waits && patience_ns && now_ns > connection->sent_ns + patience_ns;
    if (too_long)
        fcgipool_log("a connection is closed: its client has read nothing for longer than timeout");
    if (too_long || ((waits || connection->holders || connection->deaf) && has_hung_up(connection)))
        connection_close(connection);
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct connection *connection = watcher->data;
    struct async *async = connection->async;
    (void)loop, (void)events;
    ssize_t done = read(connection->fd, async->input, sizeof async->input);
    if (done < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (done < 0)
        connection_close(connection);
    else if (done == 0)
        hear_end(connection);
    else if (!connection->shut &&
             !async->protocol->received(connection, (struct bytes){async->input, (size_t)done}))
        connection_close(connection);
}

void connection_open(struct async *async, int fd)
{
    struct connection *connection = (struct connection *)buffer_must(calloc(1, sizeof *connection));
    connection->async = async;
    connection->fd = fd;
    connection->rests_ns = async_now();
    ev_io_init(&connection->readable, on_readable, fd, EV_READ);
    ev_io_init(&connection->writable, on_writable, fd, EV_WRITE);
    ev_init(&connection->linger, on_linger);
    connection->readable.data = connection->writable.data = connection->linger.data = connection;
    connection->next = async->connections;
    connection->at = &async->connections;
    if (connection->next)
        connection->next->at = &connection->next;
    async->connections = connection;
    if (++async->open == async->limit)
        async_ticks(async);
    async->protocol->open(connection);
    set_reading(connection);
}
