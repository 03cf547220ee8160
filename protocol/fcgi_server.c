/* Many requests on one connection; see fcgi_server.h. */
#include "protocol/fcgi_server.h"

#include <stdio.h>

/* Variables of GET_VALUES that are answered (4.1): fcgi_server.asked has a bit each. */
static const char *const variables[] = {FCGI_MAX_CONNS, FCGI_MAX_REQS, FCGI_MPXS_CONNS};
enum { VARIABLES = sizeof variables / sizeof *variables };

void fcgi_server_init(struct fcgi_server *server, struct fcgi_server_request **places,
                      const struct fcgi_server_limits *limits)
{
    *server = (struct fcgi_server){.requests = places, .limits = *limits, .keeps = true};
    for (uint32_t i = 0; i < limits->capacity; i++)
        places[i] = NULL;
    fcgi_parser_init(&server->parser);
}

/* ---- requests ---- */

/* The place of the request of this id, or, if it `is_new`, one for it: web servers count from 1, so there
 * first. NULL: there is none. */
static struct fcgi_server_request **find(const struct fcgi_server *server, uint16_t id, bool is_new)
{
    uint32_t capacity = server->limits.capacity, first = (uint32_t)(id - 1) % capacity;

    for (uint32_t i = 0; i < capacity; i++) {
        struct fcgi_server_request **place = &server->requests[(first + i) % capacity];

        if (is_new ? !*place : *place && (*place)->id == id)
            return place;
    }
    return NULL;
}

void fcgi_server_take(struct fcgi_server *server, struct fcgi_server_request *request)
{
    uint16_t id = server->parser.header.request_id;

    *request = (struct fcgi_server_request){.id = id};
    fcgi_pairs_decoder_init(&request->params, &server->limits.params);
    *find(server, id, true) = request;
    server->active++;
}

size_t fcgi_server_end(struct fcgi_server *server, struct fcgi_server_request *request,
                       const struct fcgi_end_request *end, bool stderr_used, uint8_t *ret_bytes)
{
    struct fcgi_header empty = {.type = FCGI_STDOUT, .request_id = request->id};
    size_t done = FCGI_HEADER_LENGTH;

    fcgi_encode_header(&empty, ret_bytes);
    if (stderr_used) {
        empty.type = FCGI_STDERR;
        fcgi_encode_header(&empty, ret_bytes + done);
        done += FCGI_HEADER_LENGTH;
    }
    fcgi_encode_end_request(request->id, end, ret_bytes + done);
    *find(server, request->id, false) = NULL;
    server->active--;
    if (server->request == request)
        server->request = NULL;
    return done + FCGI_HEADER_LENGTH + FCGI_BODY_LENGTH;
}

/* ---- a record begins ---- */

static enum wire_fault check_management(uint8_t type)
{
    if (type >= FCGI_BEGIN_REQUEST && type <= FCGI_DATA)
        return WIRE_FAULT_NULL_REQUEST_ID;
    return type == FCGI_GET_VALUES_RESULT || type == FCGI_UNKNOWN_TYPE ? WIRE_FAULT_TYPE : WIRE_FAULT_NONE;
}

/* What an active request sends. */
static enum wire_fault check_stream(const struct fcgi_server_request *request,
                                    const struct fcgi_header *header)
{
    if (header->type == FCGI_STDIN && request->phase == FCGI_SERVER_IN_PARAMS)
        return WIRE_FAULT_ORDER;
    if (header->content_length == 0)
        return WIRE_FAULT_NONE;
    bool ended = header->type == FCGI_PARAMS ? request->phase > FCGI_SERVER_IN_PARAMS
                                             : request->phase == FCGI_SERVER_RECEIVED;
    return ended ? WIRE_FAULT_STREAM_ENDED : WIRE_FAULT_NONE;
}

static enum wire_fault check_header(const struct fcgi_server *server)
{
    const struct fcgi_header *header = &server->parser.header;

    if (header->request_id == FCGI_NULL_REQUEST_ID)
        return check_management(header->type);
    switch (header->type) {
    case FCGI_BEGIN_REQUEST:
        if (header->content_length != FCGI_BODY_LENGTH)
            return WIRE_FAULT_BODY_LENGTH;
        return server->request ? WIRE_FAULT_BEGUN : WIRE_FAULT_NONE;
    case FCGI_ABORT_REQUEST:
        return WIRE_FAULT_NONE;
    case FCGI_PARAMS:
    case FCGI_STDIN:
        return server->request ? check_stream(server->request, header) : WIRE_FAULT_NONE;
    case FCGI_GET_VALUES:
    case FCGI_GET_VALUES_RESULT:
    case FCGI_UNKNOWN_TYPE:
        return WIRE_FAULT_MANAGEMENT_ID;
    default: /* DATA is a Filter's, and none is taken */
        return WIRE_FAULT_TYPE;
    }
}

static void begin_record(struct fcgi_server *server)
{
    static const struct fcgi_pairs_limits limits = {FCGI_CONTENT_MAX, FCGI_CONTENT_MAX, FCGI_CONTENT_MAX};
    uint16_t id = server->parser.header.request_id;

    struct fcgi_server_request **place = id == FCGI_NULL_REQUEST_ID ? NULL : find(server, id, false);

    server->request = place ? *place : NULL;
    server->body_length = 0;
    server->asked = 0;
    fcgi_pairs_decoder_init(&server->values, &limits);
    server->fault = check_header(server);
}

/* ---- its content ---- */

/* FCGI_SERVER_MORE: nothing to tell yet. */
static enum fcgi_server_event next_param(struct fcgi_server *server, struct fcgi_server_request *request,
                                         struct bytes *ret_piece)
{
    switch (fcgi_pairs_decoder_next(&request->params, &server->content, ret_piece)) {
    case FCGI_PAIRS_MORE:
        return FCGI_SERVER_MORE;
    case FCGI_PAIRS_BEGIN:
        return FCGI_SERVER_PAIR;
    case FCGI_PAIRS_NAME:
        return FCGI_SERVER_NAME;
    case FCGI_PAIRS_VALUE:
        return FCGI_SERVER_VALUE;
    case FCGI_PAIRS_END:
        return FCGI_SERVER_PAIR_END;
    case FCGI_PAIRS_FAULT:
        break;
    }
    server->fault = request->params.fault;
    return FCGI_SERVER_FAULT;
}

static void note_variable(struct fcgi_server *server)
{
    for (unsigned i = 0; i < VARIABLES; i++)
        if (server->name_length == strlen(variables[i]) &&
            memcmp(server->name, variables[i], server->name_length) == 0)
            server->asked |= 1U << i;
}

/* Of a longer name the length is kept, which none of ours has. */
static void keep_name(struct fcgi_server *server, struct bytes piece)
{
    if (piece.length <= sizeof server->name - server->name_length)
        bytes_copy((uint8_t *)server->name + server->name_length, piece);
    server->name_length = piece.length <= sizeof server->name - server->name_length
                              ? server->name_length + piece.length
                              : sizeof server->name;
}

/* The names that are asked for; a value would have no meaning. */
static void read_values(struct fcgi_server *server)
{
    struct bytes piece;

    for (;;) {
        switch (fcgi_pairs_decoder_next(&server->values, &server->content, &piece)) {
        case FCGI_PAIRS_MORE:
            return;
        case FCGI_PAIRS_BEGIN:
            server->name_length = 0;
            break;
        case FCGI_PAIRS_NAME:
            keep_name(server, piece);
            break;
        case FCGI_PAIRS_VALUE:
            break;
        case FCGI_PAIRS_END:
            note_variable(server);
            break;
        case FCGI_PAIRS_FAULT:
            server->fault = server->values.fault;
            return;
        }
    }
}

/* FCGI_SERVER_MORE: nothing to tell. */
static enum fcgi_server_event take_content(struct fcgi_server *server, struct bytes content,
                                           struct bytes *ret_piece)
{
    switch (server->parser.header.type) {
    case FCGI_BEGIN_REQUEST:
        bytes_copy(server->body + server->body_length, content);
        server->body_length = (uint8_t)(server->body_length + content.length);
        break;
    case FCGI_PARAMS:
        server->content = content;
        server->decodes = true;
        break;
    case FCGI_GET_VALUES:
        server->content = content;
        read_values(server);
        break;
    case FCGI_STDIN:
        *ret_piece = content;
        return server->request ? FCGI_SERVER_STDIN : FCGI_SERVER_MORE;
    default:
        break;
    }
    return FCGI_SERVER_MORE;
}

/* ---- its end ---- */

static enum fcgi_server_event reply_values(struct fcgi_server *server, struct bytes *ret_piece)
{
    const uint32_t numbers[VARIABLES] = {server->limits.max_conns, server->limits.max_reqs,
                                         server->limits.capacity > 1};
    char digits[VARIABLES][12];
    struct pair pairs[VARIABLES];
    struct fcgi_pairs_encoder encoder;
    size_t count = 0;

    if (server->fault == WIRE_FAULT_NONE)
        server->fault = fcgi_pairs_decoder_finish(&server->values);
    if (server->fault != WIRE_FAULT_NONE)
        return FCGI_SERVER_FAULT;
    for (unsigned i = 0; i < VARIABLES; i++) {
        if (!(server->asked & 1U << i))
            continue;
        snprintf(digits[count], sizeof digits[count], "%lu", (unsigned long)numbers[i]);
        pairs[count] = (struct pair){bytes_of(variables[i]), bytes_of(digits[count])};
        count++;
    }
    (void)!fcgi_pairs_encoder_init(&encoder, pairs, count); /* they are short */
    struct fcgi_header header = {.type = FCGI_GET_VALUES_RESULT,
                                 .content_length = (uint16_t)encoder.left,
                                 .padding_length = fcgi_padding((uint16_t)encoder.left)};
    fcgi_encode_header(&header, server->reply);
    memset(server->reply + FCGI_HEADER_LENGTH, 0, sizeof server->reply - FCGI_HEADER_LENGTH);
    (void)fcgi_pairs_encoder_next(&encoder, server->reply + FCGI_HEADER_LENGTH, header.content_length);
    *ret_piece = (struct bytes){server->reply,
                                FCGI_HEADER_LENGTH + (size_t)header.content_length + header.padding_length};
    return FCGI_SERVER_REPLY;
}

/* A body of FCGI_BODY_LENGTH. */
static enum fcgi_server_event reply(const struct fcgi_server *server, struct bytes *ret_piece)
{
    *ret_piece = (struct bytes){server->reply, FCGI_HEADER_LENGTH + FCGI_BODY_LENGTH};
    return FCGI_SERVER_REPLY;
}

/* The request cannot be taken (5.5). */
static enum fcgi_server_event refuse(struct fcgi_server *server, enum fcgi_status status,
                                     struct bytes *ret_piece)
{
    struct fcgi_end_request end = {.protocol_status = status};

    fcgi_encode_end_request(server->parser.header.request_id, &end, server->reply);
    return reply(server, ret_piece);
}

static enum fcgi_server_event begin_request(struct fcgi_server *server, struct bytes *ret_piece)
{
    struct fcgi_begin_request begun = fcgi_decode_begin_request(server->body);

    server->begun = begun;
    server->keeps = server->keeps && begun.flags & FCGI_KEEP_CONN;
    if (begun.role != FCGI_RESPONDER && begun.role != FCGI_AUTHORIZER)
        return refuse(server, FCGI_UNKNOWN_ROLE, ret_piece);
    if (server->active == server->limits.capacity)
        return refuse(server, server->limits.capacity > 1 ? FCGI_OVERLOADED : FCGI_CANT_MPX_CONN, ret_piece);
    return FCGI_SERVER_BEGIN;
}

/* The empty record of a stream, the first time. */
static enum fcgi_server_event end_stream(struct fcgi_server *server, struct fcgi_server_request *request)
{
    const struct fcgi_header *header = &server->parser.header;

    if (header->content_length > 0)
        return FCGI_SERVER_MORE;
    if (header->type == FCGI_STDIN && request->phase == FCGI_SERVER_IN_STDIN) {
        request->phase = FCGI_SERVER_RECEIVED;
        return FCGI_SERVER_STDIN_END;
    }
    if (header->type == FCGI_STDIN || request->phase > FCGI_SERVER_IN_PARAMS)
        return FCGI_SERVER_MORE;
    server->fault = fcgi_pairs_decoder_finish(&request->params);
    request->phase = FCGI_SERVER_IN_STDIN;
    return server->fault == WIRE_FAULT_NONE ? FCGI_SERVER_PARAMS_END : FCGI_SERVER_FAULT;
}

/* FCGI_SERVER_MORE: nothing to tell. */
static enum fcgi_server_event end_record(struct fcgi_server *server, struct bytes *ret_piece)
{
    const struct fcgi_header *header = &server->parser.header;
    struct fcgi_server_request *request = server->request;

    if (header->type == FCGI_BEGIN_REQUEST)
        return begin_request(server, ret_piece);
    if (header->type == FCGI_GET_VALUES)
        return reply_values(server, ret_piece);
    if (header->request_id == FCGI_NULL_REQUEST_ID) { /* 4.2 */
        fcgi_encode_unknown_type(header->type, server->reply);
        return reply(server, ret_piece);
    }
    if (!request)
        return FCGI_SERVER_MORE;
    return header->type == FCGI_ABORT_REQUEST ? FCGI_SERVER_ABORT : end_stream(server, request);
}

/* ---- events ---- */

/* The next one out of what the parser has given already, or FCGI_SERVER_MORE. */
static enum fcgi_server_event next_decoded(struct fcgi_server *server, struct bytes *ret_piece)
{
    struct fcgi_server_request *request = server->request;

    enum fcgi_server_event event =
        server->decodes && request ? next_param(server, request, ret_piece) : FCGI_SERVER_MORE;
    server->decodes = event != FCGI_SERVER_MORE;
    return event;
}

static enum fcgi_server_event next_parsed(struct fcgi_server *server, struct bytes *input, bool *ret_all_used,
                                          struct bytes *ret_piece)
{
    struct bytes content;

    switch (fcgi_parser_next(&server->parser, input, &content)) {
    case FCGI_EVENT_MORE:
        *ret_all_used = true;
        break;
    case FCGI_EVENT_HEADER:
        begin_record(server);
        break;
    case FCGI_EVENT_CONTENT:
        return take_content(server, content, ret_piece);
    case FCGI_EVENT_END:
        return end_record(server, ret_piece);
    case FCGI_EVENT_FAULT:
        server->fault = server->parser.fault;
        break;
    }
    return FCGI_SERVER_MORE;
}

enum fcgi_server_event fcgi_server_next(struct fcgi_server *server, struct bytes *input,
                                        struct fcgi_server_request **ret_request, struct bytes *ret_piece)
{
    enum fcgi_server_event event = FCGI_SERVER_MORE;
    bool all_used = false;

    while (server->fault == WIRE_FAULT_NONE && event == FCGI_SERVER_MORE && !all_used) {
        event = next_decoded(server, ret_piece);
        if (event == FCGI_SERVER_MORE)
            event = next_parsed(server, input, &all_used, ret_piece);
    }
    *ret_request = server->request;
    return server->fault == WIRE_FAULT_NONE ? event : FCGI_SERVER_FAULT;
}

enum wire_fault fcgi_server_eof(const struct fcgi_server *server)
{
    if (server->fault != WIRE_FAULT_NONE)
        return server->fault;
    return server->active == 0 && fcgi_parser_idle(&server->parser) ? WIRE_FAULT_NONE : WIRE_FAULT_CUT;
}
