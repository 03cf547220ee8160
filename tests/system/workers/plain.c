/* The echo contract over FastCGI without libfcgi. */
#include "plain.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void reset(struct plain *plain)
{
    static const struct fcgi_pairs_limits limits = {1 << 20, 1 << 20, 1 << 24};
    fcgi_pairs_decoder_init(&plain->decoder, &limits);
    plain->begin_size = plain->name_size = plain->value_size = plain->body_size = 0;
    plain->method[0] = plain->query[0] = '\0';
}

void plain_init(struct plain *plain)
{
    *plain = (struct plain){0};
    fcgi_parser_init(&plain->parser);
    reset(plain);
}

void plain_fini(struct plain *plain)
{
    free(plain->body);
}

static void append(char *to, size_t room, size_t *size, struct bytes piece)
{
    struct bytes fits = bytes_take(&piece, room - 1 - *size);
    bytes_copy((uint8_t *)to + *size, fits);
    *size += fits.length;
    to[*size] = '\0';
}

static void keep_pair(struct plain *plain)
{
    plain->name[plain->name_size] = plain->value[plain->value_size] = '\0';
    if (strcmp(plain->name, "REQUEST_METHOD") == 0)
        (void)snprintf(plain->method, sizeof plain->method, "%.15s", plain->value);
    else if (strcmp(plain->name, "QUERY_STRING") == 0)
        (void)snprintf(plain->query, sizeof plain->query, "%s", plain->value);
}

static void read_params(struct plain *plain, struct bytes content)
{
    struct bytes piece;
    for (;;)
        switch (fcgi_pairs_decoder_next(&plain->decoder, &content, &piece)) {
        case FCGI_PAIRS_MORE:
            return;
        case FCGI_PAIRS_BEGIN:
            plain->name_size = plain->value_size = 0;
            break;
        case FCGI_PAIRS_NAME:
            append(plain->name, sizeof plain->name, &plain->name_size, piece);
            break;
        case FCGI_PAIRS_VALUE:
            append(plain->value, sizeof plain->value, &plain->value_size, piece);
            break;
        case FCGI_PAIRS_END:
            keep_pair(plain);
            break;
        case FCGI_PAIRS_FAULT:
            plain->broken = true;
            return;
        }
}

static void make_room(struct plain *plain, size_t size)
{
    if (size <= plain->body_room)
        return;
    plain->body_room = 2 * size;
    plain->body = realloc(plain->body, plain->body_room);
    if (!plain->body)
        abort();
}

static void read_content(struct plain *plain, struct bytes content)
{
    switch (plain->parser.header.type) {
    case FCGI_BEGIN_REQUEST: {
        struct bytes fits = bytes_take(&content, sizeof plain->begin - plain->begin_size);
        bytes_copy(plain->begin + plain->begin_size, fits);
        plain->begin_size += fits.length;
        break;
    }
    case FCGI_PARAMS:
        read_params(plain, content);
        break;
    case FCGI_STDIN:
        make_room(plain, plain->body_size + content.length);
        bytes_copy((uint8_t *)plain->body + plain->body_size, content);
        plain->body_size += content.length;
        break;
    default:
        break;
    }
}

/* What a GET asks for is made as if it had been sent. */
static void complete(struct plain *plain)
{
    plain->id = plain->parser.header.request_id;
    plain->keep = fcgi_decode_begin_request(plain->begin).flags & FCGI_KEEP_CONN;
    if (strcmp(plain->method, "POST") == 0)
        return;
    plain->body_size = (size_t)contract_number(plain->query, "n");
    make_room(plain, plain->body_size);
    contract_pattern(plain->body, 0, plain->body_size);
}

bool plain_feed(struct plain *plain, struct bytes *input)
{
    struct bytes content;
    for (;;)
        switch (fcgi_parser_next(&plain->parser, input, &content)) {
        case FCGI_EVENT_MORE:
            return false;
        case FCGI_EVENT_HEADER:
            break;
        case FCGI_EVENT_CONTENT:
            read_content(plain, content);
            break;
        case FCGI_EVENT_END:
            if (plain->parser.header.type != FCGI_STDIN || plain->parser.header.content_length > 0)
                break;
            complete(plain);
            return true;
        case FCGI_EVENT_FAULT:
            plain->broken = true;
            return false;
        }
}

long plain_wait_ms(const struct plain *plain, unsigned number)
{
    return number == 0 ? contract_number(plain->query, "delay")
                       : contract_number(plain->query, "slow") / CONTRACT_PIECES;
}

static uint8_t *put_stdout(uint8_t *at, const struct plain *plain, const char *data, size_t size)
{
    while (size > 0) {
        size_t length = size < FCGI_CONTENT_ALIGNED_MAX ? size : FCGI_CONTENT_ALIGNED_MAX;
        const struct fcgi_header header = {FCGI_STDOUT, plain->id, (uint16_t)length, 0};
        fcgi_encode_header(&header, at);
        memcpy(at + FCGI_HEADER_LENGTH, data, length);
        at += FCGI_HEADER_LENGTH + length;
        data += length;
        size -= length;
    }
    return at;
}

char *plain_piece(struct plain *plain, unsigned number, size_t *ret_size)
{
    static const struct fcgi_end_request success = {0};
    char head[80];
    size_t start = plain->body_size * number / CONTRACT_PIECES;
    size_t size = plain->body_size * (number + 1) / CONTRACT_PIECES - start;
    uint8_t *bytes = malloc(size + (size / FCGI_CONTENT_ALIGNED_MAX + 6) * FCGI_HEADER_LENGTH + sizeof head);
    if (!bytes)
        abort();
    uint8_t *at = bytes;
    if (number == 0)
        at = put_stdout(at, plain, head,
                        (size_t)snprintf(head, sizeof head, "Content-Type: text/plain\r\nX-Pid: %d\r\n\r\n",
                                         (int)getpid()));
    if (size > 0)
        at = put_stdout(at, plain, plain->body + start, size);
    if (number == CONTRACT_PIECES - 1) {
        fcgi_encode_end_request(plain->id, &success, at);
        at += FCGI_HEADER_LENGTH + FCGI_BODY_LENGTH;
        reset(plain);
    }
    *ret_size = (size_t)(at - bytes);
    return (char *)bytes;
}
