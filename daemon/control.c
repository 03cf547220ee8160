/* The control socket's server; see control.h. */
#include "daemon/control.h"

#include "daemon/base/exit_code.h"
#include "daemon/base/log.h"
#include "daemon/base/unicode.h"
#include "daemon/commands.h"
#include "daemon/control_request.h"
#include "daemon/line_buffer.h"
#include "daemon/master.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A client that lets more than this pile up unread is dropped. */
#define OUTPUT_MAX (4 << 20)
/* No new clients for so long when there is no descriptor for them. */
#define PAUSE_SECONDS 0.2

struct control_client {
    struct control_client *next;
    struct control *control;
    ev_io reader, writer;
    ev_timer idle;
    struct line_buffer input;
    char *output; /* not yet taken by the kernel; owned */
    size_t output_length;
    control_wait *wait; /* NULL: no command under way */
    char *progress;     /* the last one sent; owned */
    bool broken;        /* about to be dropped */
};

/* ---- clients ---- */

static void client_free(struct control_client *client)
{
    struct control *control = client->control;
    struct ev_loop *loop = control->master->loop;
    struct control_client **link = &control->clients;
    while (*link != client)
        link = &(*link)->next;
    *link = client->next;
    control->client_count--;
    ev_io_stop(loop, &client->reader);
    ev_io_stop(loop, &client->writer);
    ev_timer_stop(loop, &client->idle);
    close(client->reader.fd);
    line_buffer_fini(&client->input);
    free(client->output);
    free(client->progress);
    free(client);
}

static void on_idle(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct control_client *client = timer->data;
    (void)loop, (void)events;
    client_free(client);
}

/* Drops the client, but not before the loop's next turn: callers up the stack may still hold it. */
static void drop(struct control_client *client)
{
    client->broken = true;
    client->wait = NULL;
    ev_feed_event(client->control->master->loop, &client->idle, EV_TIMER);
}

/* The oldest client that has no command under way, else the oldest of all. */
static struct control_client *least_useful(struct control *control)
{
    struct control_client *oldest = NULL, *oldest_idle = NULL;
    for (struct control_client *client = control->clients; client; client = client->next) {
        oldest = client;
        if (!client->wait)
            oldest_idle = client;
    }
    return oldest_idle ? oldest_idle : oldest;
}

/* ---- answers ---- */

/* Sends what the kernel takes; the rest waits for the writer watcher. */
static void flush(struct control_client *client)
{
    size_t sent = 0;
    while (sent < client->output_length) {
        ssize_t n = send(client->reader.fd, client->output + sent, client->output_length - sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0) {
            if (errno != EAGAIN && errno != EINTR)
                drop(client);
            break;
        }
        sent += (size_t)n;
    }
    client->output_length -= sent;
    memmove(client->output, client->output + sent, client->output_length);
    if (client->output_length)
        ev_io_start(client->control->master->loop, &client->writer);
    else
        ev_io_stop(client->control->master->loop, &client->writer);
}

/* Sends `text` (NULL: it could not be made) and a newline; takes it over. */
static void send_line(struct control_client *client, char *text)
{
    size_t length = text ? strlen(text) + 1 : 0;
    char *grown = text ? realloc(client->output, client->output_length + length) : NULL;
    if (!grown || client->output_length + length > OUTPUT_MAX) {
        drop(client);
    } else {
        memcpy(grown + client->output_length, text, length - 1);
        grown[client->output_length + length - 1] = '\n';
        client->output_length += length;
    }
    if (grown) {
        client->output = grown;
        flush(client);
    }
    free(text);
}

/* Takes over `message`. */
static char *message_text(json_t *message)
{
    char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;
    json_decref(message);
    return text;
}

void control_progress(struct control_client *client, json_t *value)
{
    char *text = message_text(json_pack("{s:o}", "progress", value));
    if (text && client->progress && strcmp(text, client->progress) == 0) {
        free(text);
        return;
    }
    free(client->progress);
    client->progress = text ? strdup(text) : NULL;
    send_line(client, text);
}

static void end_wait(struct control_client *client)
{
    client->wait = NULL;
    ev_timer_again(client->control->master->loop, &client->idle);
}

void control_result(struct control_client *client, json_t *value)
{
    if (!value) {
        control_error(client, EXIT_FAILED, "the answer cannot be put into JSON");
        return;
    }
    end_wait(client);
    send_line(client, message_text(json_pack("{s:o}", "result", value)));
}

static void send_error(struct control_client *client, int code, const char *text)
{
    send_line(client, message_text(json_pack("{s:{s:i,s:s}}", "error", "code", code, "text", text)));
}

void control_error(struct control_client *client, int code, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    unicode_make_printable(text, strlen(text)); /* what it quotes may be a path in any encoding */
    end_wait(client);
    send_error(client, code, text);
}

void control_wait_for(struct control_client *client, control_wait *wait)
{
    client->wait = wait;
    ev_timer_stop(client->control->master->loop, &client->idle);
}

/* ---- requests ---- */

static void handle_line(struct control_client *client, const char *line, size_t length)
{
    struct master *master = client->control->master;
    struct control_request request;
    struct problem problem;

    if (client->wait) {
        send_error(client, EXIT_USAGE, "a command is under way on this connection");
        return;
    }
    int code = control_request_init(&request, line, length, master->name, conf_file(master->conf), &problem);
    if (code) {
        control_error(client, code, "%s", problem.text);
        return;
    }
    commands_run(master, client, request.command, request.args);
    control_request_fini(&request);
}

/* Handles the complete lines of the input. */
static void handle_input(struct control_client *client)
{
    enum line_buffer_event event = LINE_BUFFER_LINE;
    const char *line;
    size_t length;

    while (!client->broken && event == LINE_BUFFER_LINE) {
        event = line_buffer_next(&client->input, &line, &length);
        if (event == LINE_BUFFER_LINE)
            handle_line(client, line, length);
    }
    if (event == LINE_BUFFER_TOO_LONG) {
        send_error(client, EXIT_USAGE, "the request is too long");
        drop(client);
    }
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct control_client *client = watcher->data;
    char buffer[4096];
    (void)loop, (void)events;
    ssize_t length = recv(watcher->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length > 0 && line_buffer_push(&client->input, buffer, (size_t)length) == 0)
        handle_input(client);
    else
        drop(client);
}

static void on_writable(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct control_client *client = watcher->data;
    (void)loop, (void)events;
    flush(client);
}

/* ---- the socket ---- */

static bool is_trusted(int fd)
{
    struct ucred peer;
    socklen_t length = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

/* Without a descriptor for a new client an old one makes room, or new ones have to wait: the loop would come
 * back here at once. */
static void make_room(struct control *control)
{
    if (control->clients) {
        client_free(least_useful(control));
        return;
    }
    ev_io_stop(control->master->loop, &control->acceptor);
    ev_timer_set(&control->pause, PAUSE_SECONDS, 0.0);
    ev_timer_start(control->master->loop, &control->pause);
}

static void on_pause_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct control *control = timer->data;
    (void)events;
    ev_io_start(loop, &control->acceptor);
}

static void on_connection(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct control *control = watcher->data;
    (void)events;
    int fd = accept4(watcher->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
        make_room(control);
        return;
    }
    struct control_client *client = fd >= 0 && is_trusted(fd) ? calloc(1, sizeof *client) : NULL;
    if (!client) {
        if (fd >= 0)
            close(fd);
        return;
    }
    if (control->client_count == CONTROL_CLIENTS_MAX)
        client_free(least_useful(control));
    *client = (struct control_client){.next = control->clients, .control = control};
    control->clients = client;
    control->client_count++;
    line_buffer_init(&client->input, CONTROL_LINE_MAX);
    ev_io_init(&client->reader, on_readable, fd, EV_READ);
    ev_io_init(&client->writer, on_writable, fd, EV_WRITE);
    ev_init(&client->idle, on_idle);
    client->idle.repeat = CONTROL_IDLE_SECONDS;
    client->reader.data = client->writer.data = client->idle.data = client;
    ev_io_start(loop, &client->reader);
    ev_timer_again(loop, &client->idle);
}

int control_open(struct control *control, const char *path, struct problem *problem)
{
    struct listener_options options = {
        .backlog = CONTROL_CLIENTS_MAX,
        .mode = 0600,
        .owner = (uid_t)-1,
        .group = (gid_t)-1,
    };
    struct sockaddr_un *address = (struct sockaddr_un *)&options.address.storage;
    if (strlen(path) >= sizeof address->sun_path)
        return problem_set(problem, -ENAMETOOLONG, "control socket %s: the path is longer than %zu bytes",
                           path, sizeof address->sun_path - 1);
    address->sun_family = AF_UNIX;
    strcpy(address->sun_path, path);
    options.address.length = sizeof *address;
    int result = listener_open(&options, &control->listener, problem);
    if (result == 0)
        fcntl(control->listener.fd, F_SETFL, O_NONBLOCK);
    return result;
}

static void start_accepting(struct control *control)
{
    ev_io_init(&control->acceptor, on_connection, control->listener.fd, EV_READ);
    control->acceptor.data = control;
    ev_io_start(control->master->loop, &control->acceptor);
}

void control_start(struct control *control, struct master *master)
{
    control->master = master;
    ev_init(&control->pause, on_pause_over);
    control->pause.data = control;
    start_accepting(control);
}

static void stop_accepting(struct control *control)
{
    ev_io_stop(control->master->loop, &control->acceptor);
    ev_timer_stop(control->master->loop, &control->pause);
}

void control_succeed(struct control *control, struct listener *listener)
{
    stop_accepting(control);
    listener_close(&control->listener);
    control->listener = *listener;
    *listener = (struct listener)LISTENER_INIT;
    start_accepting(control);
}

void control_leave(struct control *control)
{
    stop_accepting(control);
    listener_leave(&control->listener);
}

void control_notify(struct control *control)
{
    for (struct control_client *client = control->clients; client; client = client->next)
        if (client->wait)
            client->wait(control->master, client);
}

void control_close(struct control *control)
{
    if (control->master)
        stop_accepting(control);
    listener_close(&control->listener);
    control_notify(control);
    while (control->clients)
        client_free(control->clients);
}
