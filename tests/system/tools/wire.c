/* Requests of the echo contract, and the judgement on their answers. */
#include "wire.h"

#include "../workers/contract.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum record { BEGIN_REQUEST = 1, END_REQUEST = 3, PARAMS = 4, STDIN = 5, STDOUT = 6, STDERR = 7 };

#define HEADER      8
#define CONTENT_MAX 65528 /* the largest multiple of 8 */
#define REQUEST_ID  1

struct buffer {
    char *bytes;
    size_t size, capacity;
};

static void put(struct buffer *to, const void *bytes, size_t size)
{
    if (to->size + size > to->capacity) {
        to->capacity = (to->size + size) * 2;
        to->bytes = realloc(to->bytes, to->capacity);
        if (!to->bytes)
            abort();
    }
    if (size > 0)
        memcpy(to->bytes + to->size, bytes, size);
    to->size += size;
}

__attribute__((format(printf, 2, 3))) static void put_text(struct buffer *to, const char *format, ...)
{
    char text[4096];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    put(to, text, (size_t)size);
}

static void put_record(struct buffer *to, enum record type, const char *content, size_t size)
{
    const unsigned char header[HEADER] = {1,          (unsigned char)type,        0,
                                          REQUEST_ID, (unsigned char)(size >> 8), (unsigned char)size};
    put(to, header, sizeof header);
    put(to, content, size);
}

/* A stream: as many records as it takes, then the empty one that ends it. */
static void put_stream(struct buffer *to, enum record type, const char *content, size_t size)
{
    while (size > 0) {
        size_t piece = size < CONTENT_MAX ? size : CONTENT_MAX;
        put_record(to, type, content, piece);
        content += piece;
        size -= piece;
    }
    put_record(to, type, NULL, 0);
}

static void put_pair(struct buffer *to, const char *name, const char *value)
{
    size_t lengths[] = {strlen(name), strlen(value)};
    for (size_t i = 0; i < 2; i++) {
        uint32_t n = (uint32_t)lengths[i];
        const unsigned char wide[] = {(unsigned char)(n >> 24 | 0x80), (unsigned char)(n >> 16),
                                      (unsigned char)(n >> 8), (unsigned char)n};
        put(to, n < 128 ? &wide[3] : wide, n < 128 ? 1 : 4);
    }
    put(to, name, lengths[0]);
    put(to, value, lengths[1]);
}

static void put_fastcgi(struct buffer *to, const struct shot_form *form, const char *method, const char *uri,
                        const char *query, const char *body, size_t body_size)
{
    char length[24];
    snprintf(length, sizeof length, "%zu", body_size);
    const char *pairs[][2] = {
        {"GATEWAY_INTERFACE", "CGI/1.1"},
        {"SERVER_SOFTWARE", "load"},
        {"SERVER_PROTOCOL", "HTTP/1.1"},
        {"SERVER_NAME", "localhost"},
        {"SERVER_PORT", "80"},
        {"REMOTE_ADDR", "127.0.0.1"},
        {"REDIRECT_STATUS", "200"},
        {"REQUEST_METHOD", method},
        {"REQUEST_URI", uri},
        {"SCRIPT_NAME", "/x"},
        {"SCRIPT_FILENAME", form->script},
        {"QUERY_STRING", query},
        {"CONTENT_TYPE", body_size ? "application/octet-stream" : ""},
        {"CONTENT_LENGTH", body_size || strcmp(method, "POST") == 0 ? length : ""},
    };
    struct buffer params = {0};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        put_pair(&params, pairs[i][0], pairs[i][1]);
    const char begin[] = {0, 1, form->keep, 0, 0, 0, 0, 0}; /* a responder; FCGI_KEEP_CONN */
    put_record(to, BEGIN_REQUEST, begin, sizeof begin);
    put_stream(to, PARAMS, params.bytes, params.size);
    put_stream(to, STDIN, body, body_size);
    free(params.bytes);
}

static void put_scgi(struct buffer *to, const char *method, const char *uri, const char *query,
                     const char *body, size_t body_size)
{
    char length[24];
    snprintf(length, sizeof length, "%zu", body_size);
    const char *pairs[][2] = {
        {"CONTENT_LENGTH", length}, {"SCGI", "1"},           {"REQUEST_METHOD", method},
        {"REQUEST_URI", uri},       {"QUERY_STRING", query}, {"SERVER_PROTOCOL", "HTTP/1.1"},
    };
    struct buffer block = {0};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        for (size_t j = 0; j < 2; j++)
            put(&block, pairs[i][j], strlen(pairs[i][j]) + 1);
    put_text(to, "%zu:", block.size);
    put(to, block.bytes, block.size);
    put_text(to, ",");
    put(to, body, body_size);
    free(block.bytes);
}

static void put_http(struct buffer *to, const char *method, const char *uri, const char *body,
                     size_t body_size)
{
    put_text(to, "%s %s HTTP/1.0\r\nHost: localhost\r\n", method, uri);
    if (strcmp(method, "POST") == 0)
        put_text(to, "Content-Type: application/octet-stream\r\nContent-Length: %zu\r\n", body_size);
    put(to, "\r\n", 2);
    put(to, body, body_size);
}

bool shot_make(const char *text, const struct shot_form *form, size_t salt, struct shot *ret_shot)
{
    char method[8], rest[256] = "", query[300], uri[1024];
    size_t size;
    unsigned weight = 1;
    if (sscanf(text, "%7[A-Z]:%zu%255s", method, &size, rest) < 2)
        return false;
    char *star = strchr(rest, '*');
    if (star) {
        *star = '\0';
        weight = (unsigned)strtoul(star + 1, NULL, 10);
    }
    if (*rest && *rest != '?')
        return false;
    bool post = strcmp(method, "POST") == 0;
    if (post)
        snprintf(query, sizeof query, "%s", *rest ? rest + 1 : "");
    else
        snprintf(query, sizeof query, "n=%zu%s%s", size, *rest ? "&" : "", *rest ? rest + 1 : "");
    snprintf(uri, sizeof uri, "%s/x?%s", form->prefix, query);

    struct shot shot = {.expected = malloc(size + 1), .expected_size = size, .weight = weight};
    if (!shot.expected)
        abort();
    snprintf(shot.name, sizeof shot.name, "%s:%zu%.30s", method, size, rest);
    contract_pattern(shot.expected, post ? salt : 0, size);
    struct buffer bytes = {0};
    if (form->wire == WIRE_HTTP)
        put_http(&bytes, method, uri, shot.expected, post ? size : 0);
    else if (form->wire == WIRE_SCGI)
        put_scgi(&bytes, method, uri, query, shot.expected, post ? size : 0);
    else
        put_fastcgi(&bytes, form, method, uri, query, shot.expected, post ? size : 0);
    shot.bytes = bytes.bytes;
    shot.size = bytes.size;
    *ret_shot = shot;
    return true;
}

void shot_fini(struct shot *shot)
{
    free(shot->bytes);
    free(shot->expected);
}

/* Length of the record at `at`, or 0 when it is not all there. */
static size_t record_size(const struct reply *reply, size_t at, size_t *ret_content)
{
    if (reply->size - at < HEADER)
        return 0;
    const unsigned char *header = (const unsigned char *)reply->bytes + at;
    *ret_content = (size_t)header[4] << 8 | header[5];
    size_t size = HEADER + *ret_content + header[6];
    return reply->size - at < size ? 0 : size;
}

bool reply_scan(struct reply *reply)
{
    size_t content = 0, size;
    while (!reply->ended && (size = record_size(reply, reply->scanned, &content)) > 0) {
        const char *header = reply->bytes + reply->scanned;
        if (header[0] != 1 || header[2] != 0 || header[3] != REQUEST_ID)
            return false;
        reply->ended = header[1] == END_REQUEST;
        reply->scanned += size;
    }
    return true;
}

/* Puts the contents of all STDOUT records together, at the front. */
static const char *unwrap(struct reply *reply)
{
    size_t content = 0, size, out = 0;
    if (!reply->ended)
        return reply->size ? "closed in the midst of the answer" : "closed without an answer";
    for (size_t at = 0; at < reply->scanned; at += size) {
        size = record_size(reply, at, &content);
        const char *record = reply->bytes + at;
        if (record[1] == END_REQUEST && record[HEADER + 4] != 0)
            return "protocol status is not REQUEST_COMPLETE";
        if (record[1] == END_REQUEST && memcmp(record + HEADER, "\0\0\0\0", 4) != 0)
            return "application status is not 0";
        if (record[1] != STDOUT)
            continue;
        memmove(reply->bytes + out, record + HEADER, content);
        out += content;
    }
    reply->size = out;
    return NULL;
}

/* The value of a header line, or NULL. */
static const char *find_header(const char *head, const char *end, const char *name)
{
    size_t size = strlen(name);
    for (const char *line = head; line < end;
         line = (const char *)memchr(line, '\n', (size_t)(end - line)) + 1)
        if ((size_t)(end - line) > size && strncasecmp(line, name, size) == 0 && line[size] == ':')
            return line + size + 1;
    return NULL;
}

const char *reply_judge(struct reply *reply, enum wire wire, const struct shot *shot, int *ret_pid)
{
    const char *wrong = wire == WIRE_FASTCGI ? unwrap(reply) : NULL;
    if (wrong)
        return wrong;
    if (reply->size == 0)
        return "closed without an answer";
    const char *end = memmem(reply->bytes, reply->size, "\r\n\r\n", 4);
    if (!end)
        return "headers have no end";
    end += 2;
    const char *body = end + 2;
    const char *status = wire == WIRE_HTTP ? memchr(reply->bytes, ' ', (size_t)(end - reply->bytes))
                                           : find_header(reply->bytes, end, "Status");
    if (status && strtol(status, NULL, 10) != 200) {
        long code = strtol(status, NULL, 10);
        return code == 502   ? "status 502"
               : code == 503 ? "status 503"
               : code == 504 ? "status 504"
               : code == 500 ? "status 500"
                             : "status is not 200";
    }
    size_t body_size = reply->size - (size_t)(body - reply->bytes);
    if (body_size < shot->expected_size)
        return "body is too short";
    if (body_size > shot->expected_size)
        return "body is too long";
    if (memcmp(body, shot->expected, body_size) != 0)
        return "body is wrong";
    const char *pid = find_header(reply->bytes, end, "X-Pid");
    if (!pid)
        return "X-Pid is missing";
    *ret_pid = (int)strtol(pid, NULL, 10);
    return NULL;
}
