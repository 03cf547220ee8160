/*
 * So many small requests to a FastCGI server, from one thread, and the time that they took:
 *
 *   rate unix:PATH (new | kept) CONNECTIONS DEPTH REQUESTS
 *
 * CONNECTIONS at a time, DEPTH requests in hand on each; "new": a connection for each request (DEPTH 1).
 * Prints seconds. Exits 1 as soon as an answer is lost or not "Hello, world".
 */
#include "protocol/fcgi.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS = 64, DEPTH = 64, REQUEST = 1024, ANSWER = 1024, OPERANDS = 6 };

/* As nginx sends them. */
static const char *const params[][2] = {
    {"SCRIPT_FILENAME", "/srv/www/hello"},
    {"QUERY_STRING", "name=value"},
    {"REQUEST_METHOD", "GET"},
    {"CONTENT_TYPE", ""},
    {"CONTENT_LENGTH", ""},
    {"SCRIPT_NAME", "/hello"},
    {"REQUEST_URI", "/hello?name=value"},
    {"DOCUMENT_URI", "/hello"},
    {"DOCUMENT_ROOT", "/srv/www"},
    {"SERVER_PROTOCOL", "HTTP/1.1"},
    {"REQUEST_SCHEME", "http"},
    {"GATEWAY_INTERFACE", "CGI/1.1"},
    {"SERVER_SOFTWARE", "nginx/1.22.1"},
    {"REMOTE_ADDR", "127.0.0.1"},
    {"REMOTE_PORT", "49152"},
    {"SERVER_ADDR", "127.0.0.1"},
    {"SERVER_PORT", "80"},
    {"SERVER_NAME", "localhost"},
    {"REDIRECT_STATUS", "200"},
    {"HTTP_HOST", "localhost"},
    {"HTTP_ACCEPT", "*/*"},
    {"HTTP_USER_AGENT", "Mozilla/5.0 (X11; Linux x86_64)"},
};

struct line {
    int fd; /* -1: none */
    struct fcgi_parser parser;
    size_t lengths[DEPTH]; /* of what has come of each answer */
    char answers[DEPTH][ANSWER];
    uint16_t reading; /* request id of the record at hand */
};

static struct sockaddr_un server = {.sun_family = AF_UNIX};
static struct line lines[CONNECTIONS];
static uint8_t request[REQUEST];
static size_t request_length;
static long depth, left, asked, answered;
static bool keep;

static void fail(const char *what)
{
    fprintf(stderr, "rate: %s (%s)\n", what, strerror(errno));
    exit(1);
}

/* ---- a request ---- */

static void put(uint8_t type, size_t length)
{
    fcgi_encode_header(
        &(struct fcgi_header){.type = type, .request_id = 1, .content_length = (uint16_t)length},
        request + request_length);
    request_length += FCGI_HEADER_LENGTH;
}

static void make_request(void)
{
    uint8_t content[REQUEST];
    size_t length = 0;
    for (size_t i = 0; i < sizeof params / sizeof *params; i++) {
        for (int part = 0; part < 2; part++)
            content[length++] = (uint8_t)strlen(params[i][part]);
        for (int part = 0; part < 2; part++) {
            memcpy(content + length, params[i][part], strlen(params[i][part]));
            length += strlen(params[i][part]);
        }
    }
    const struct fcgi_begin_request begin = {.role = FCGI_RESPONDER, .flags = keep ? FCGI_KEEP_CONN : 0};
    fcgi_encode_begin_request(1, &begin, request);
    request_length = FCGI_HEADER_LENGTH + FCGI_BODY_LENGTH;
    put(FCGI_PARAMS, length);
    memcpy(request + request_length, content, length);
    request_length += length;
    put(FCGI_PARAMS, 0);
    put(FCGI_STDIN, 0);
}

/* The id stands in bytes 2 and 3 of each record's header. */
static void name_request(uint16_t id, uint8_t *bytes)
{
    for (size_t at = 0; at < request_length;
         at += FCGI_HEADER_LENGTH + (size_t)(bytes[at + 4] << 8 | bytes[at + 5])) {
        bytes[at + 2] = (uint8_t)(id >> 8);
        bytes[at + 3] = (uint8_t)id;
    }
}

static void send_all(int fd, const uint8_t *bytes, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
        if (sent < 0)
            fail("send");
        bytes += sent;
        length -= (size_t)sent;
    }
}

/* The next request on each of the `ids`, in one piece. */
static void ask(struct line *line, const uint16_t *ids, long count)
{
    static uint8_t out[DEPTH * REQUEST];
    size_t length = 0;
    for (long i = 0; i < count && asked < left; i++, asked++) {
        memcpy(out + length, request, request_length);
        name_request(ids[i], out + length);
        line->lengths[ids[i] - 1] = 0;
        length += request_length;
    }
    send_all(line->fd, out, length);
}

static void open_line(struct line *line)
{
    uint16_t ids[DEPTH];
    for (long i = 0; i < depth; i++)
        ids[i] = (uint16_t)(i + 1);
    line->fd = -1;
    if (asked == left)
        return;
    line->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (line->fd < 0 || connect(line->fd, (struct sockaddr *)&server, sizeof server) != 0)
        fail("connect");
    fcgi_parser_init(&line->parser);
    ask(line, ids, depth);
}

/* ---- an answer ---- */

static void take_content(struct line *line, struct bytes content)
{
    long index = line->parser.header.request_id - 1L;
    if (index < 0 || index >= depth || line->lengths[index] + content.length >= ANSWER)
        fail("an answer that nobody has asked for");
    if (line->parser.header.type == FCGI_STDOUT) {
        memcpy(line->answers[index] + line->lengths[index], content.data, content.length);
        line->lengths[index] += content.length;
    } else if (line->parser.header.type == FCGI_STDERR) {
        fail("a complaint");
    }
}

static void check(struct line *line, uint16_t id)
{
    char *answer = line->answers[id - 1];
    answer[line->lengths[id - 1]] = '\0';
    const char *body = strstr(answer, "\r\n\r\n");
    if (!body || strcmp(body + 4, "Hello, world\n") != 0)
        fail("a wrong answer");
    answered++;
}

/* Returns how many answers are complete, and their ids. */
static long take(struct line *line, struct bytes input, uint16_t *ret_ids)
{
    struct bytes content;
    long ended = 0;
    for (;;) {
        switch (fcgi_parser_next(&line->parser, &input, &content)) {
        case FCGI_EVENT_MORE:
            return ended;
        case FCGI_EVENT_CONTENT:
            take_content(line, content);
            break;
        case FCGI_EVENT_END:
            if (line->parser.header.type != FCGI_END_REQUEST)
                break;
            check(line, line->parser.header.request_id);
            ret_ids[ended++] = line->parser.header.request_id;
            break;
        case FCGI_EVENT_HEADER:
            break;
        case FCGI_EVENT_FAULT:
            fail("not FastCGI");
        }
    }
}

static void read_line(struct line *line)
{
    static uint8_t buffer[65536];
    uint16_t ids[DEPTH];
    ssize_t got = recv(line->fd, buffer, sizeof buffer, 0);
    if (got <= 0)
        fail("the connection ended before the answer");
    long ended = take(line, (struct bytes){.data = buffer, .length = (size_t)got}, ids);
    if (ended > 0 && !keep) {
        (void)close(line->fd);
        open_line(line);
    } else if (ended > 0) {
        ask(line, ids, ended);
    }
}

static void run(long connections)
{
    struct pollfd polled[CONNECTIONS];
    for (long i = 0; i < connections; i++)
        open_line(&lines[i]);
    while (answered < left) {
        for (long i = 0; i < connections; i++)
            polled[i] = (struct pollfd){.fd = lines[i].fd, .events = POLLIN};
        if (connections > 1 && poll(polled, (nfds_t)connections, 10000) <= 0)
            fail("no answer");
        for (long i = 0; i < connections; i++)
            if (connections == 1 || polled[i].revents)
                read_line(&lines[i]);
    }
}

int main(int argc, char **argv)
{
    struct timespec begin, end;
    long connections = argc == OPERANDS ? strtol(argv[3], NULL, 10) : 0;
    depth = argc == OPERANDS ? strtol(argv[4], NULL, 10) : 0;
    if (connections < 1 || connections > CONNECTIONS || depth < 1 || depth > DEPTH ||
        (strcmp(argv[2], "kept") != 0 && (strcmp(argv[2], "new") != 0 || depth > 1)) ||
        strncmp(argv[1], "unix:", 5) != 0 || strlen(argv[1] + 5) >= sizeof server.sun_path) {
        fprintf(stderr, "usage: rate unix:PATH (new | kept) CONNECTIONS DEPTH REQUESTS\n");
        return 64;
    }
    strcpy(server.sun_path, argv[1] + 5);
    keep = strcmp(argv[2], "kept") == 0;
    left = strtol(argv[5], NULL, 10);
    make_request();
    clock_gettime(CLOCK_MONOTONIC, &begin);
    run(connections);
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%.6f\n", (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9);
    return 0;
}
