/* The echo contract over SCGI, without a library: accept, read all, answer, close. */
#include "contract.h"

#include "protocol/scgi.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BLOCK_MAX = 65536 };

struct request {
    int fd;
    uint8_t in[16384];
    struct bytes rest;     /* of `in`: received and not used yet */
    char block[BLOCK_MAX]; /* "NAME=value" after "NAME=value", each with a null byte */
    size_t block_size;
    size_t body_size;
};

static bool receive(struct request *request)
{
    ssize_t got;
    do
        got = read(request->fd, request->in, sizeof request->in);
    while (got < 0 && errno == EINTR);
    request->rest = (struct bytes){request->in, got > 0 ? (size_t)got : 0};
    return got > 0;
}

/* The block takes as much room as on the wire, for "=" stands where a null byte was. */
static void keep(struct request *request, const void *text, size_t size)
{
    memcpy(request->block + request->block_size, text, size);
    request->block_size += size;
}

static bool read_block(struct request *request)
{
    struct scgi_decoder decoder;
    struct bytes piece;
    bool valued = false;
    scgi_decoder_init(&decoder, BLOCK_MAX);
    for (;;)
        switch (scgi_decoder_next(&decoder, &request->rest, &piece)) {
        case SCGI_EVENT_MORE:
            if (!receive(request))
                return false;
            break;
        case SCGI_EVENT_BEGIN:
            break;
        case SCGI_EVENT_NAME:
            keep(request, piece.data, piece.length);
            break;
        case SCGI_EVENT_VALUE:
            if (!valued)
                keep(request, "=", 1);
            valued = true;
            keep(request, piece.data, piece.length);
            break;
        case SCGI_EVENT_PAIR:
            if (!valued)
                keep(request, "=", 1);
            valued = false;
            keep(request, "", 1);
            break;
        case SCGI_EVENT_END:
            request->body_size = decoder.content_length;
            return true;
        case SCGI_EVENT_FAULT:
            fprintf(stderr, "received %s\n", wire_fault_text(decoder.fault));
            return false;
        }
}

static const char *find(const struct request *request, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = request->block; at < request->block + request->block_size; at += strlen(at) + 1)
        if (strncmp(at, name, size) == 0 && at[size] == '=')
            return at + size + 1;
    return "";
}

static char *must_malloc(size_t size)
{
    char *memory = malloc(size + 1);
    if (!memory)
        abort();
    return memory;
}

/* A body that ends early is answered with what came: the client sees the difference. */
static char *read_body(struct request *request, size_t *ret_size)
{
    char *body = must_malloc(request->body_size);
    *ret_size = 0;
    while (*ret_size < request->body_size && (request->rest.length > 0 || receive(request))) {
        struct bytes piece = bytes_take(&request->rest, request->body_size - *ret_size);
        memcpy(body + *ret_size, piece.data, piece.length);
        *ret_size += piece.length;
    }
    return body;
}

static void put(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t done = send(fd, bytes, size, MSG_NOSIGNAL);
        if (done < 0 && errno != EINTR)
            return;
        if (done > 0) {
            bytes += done;
            size -= (size_t)done;
        }
    }
}

static void answer(struct request *request)
{
    const char *query = find(request, "QUERY_STRING");
    char head[80];
    size_t size;
    char *body;
    if (strcmp(find(request, "REQUEST_METHOD"), "POST") == 0) {
        body = read_body(request, &size);
    } else {
        size = (size_t)contract_number(query, "n");
        body = must_malloc(size);
        contract_pattern(body, 0, size);
    }
    contract_wait(contract_number(query, "delay"));
    snprintf(head, sizeof head, "Content-Type: text/plain\r\nX-Pid: %d\r\n\r\n", (int)getpid());
    put(request->fd, head, strlen(head));
    long slow_ms = contract_number(query, "slow");
    for (size_t piece = 0; piece < CONTRACT_PIECES; piece++) {
        size_t start = size * piece / CONTRACT_PIECES, end = size * (piece + 1) / CONTRACT_PIECES;
        put(request->fd, body + start, end - start);
        if (slow_ms)
            contract_wait(slow_ms / CONTRACT_PIECES);
    }
    free(body);
}

int main(void)
{
    static struct request request;
    for (;;) {
        request.fd = accept(STDIN_FILENO, NULL, NULL);
        if (request.fd < 0 && errno != EINTR && errno != ECONNABORTED)
            return 0; /* the pool stops */
        if (request.fd < 0)
            continue;
        request.rest.length = request.block_size = 0;
        if (read_block(&request))
            answer(&request);
        close(request.fd);
    }
}
