/* One request: what is sent first, then what is received; see fcgi_client.h. */
#include "protocol/fcgi_client.h"

enum wire_fault fcgi_client_init(struct fcgi_client *client, const struct pair *params, size_t count,
                                 uint8_t flags)
{
    struct fcgi_begin_request begin = {.role = FCGI_RESPONDER, .flags = flags};
    struct fcgi_pairs_encoder encoder;
    enum wire_fault fault = fcgi_pairs_encoder_init(&encoder, params, count);

    if (fault != WIRE_FAULT_NONE)
        return fault;
    *client = (struct fcgi_client){.params = encoder, .staged_length = sizeof client->staged};
    fcgi_parser_init(&client->parser);
    fcgi_encode_begin_request(FCGI_CLIENT_REQUEST_ID, &begin, client->staged);
    return WIRE_FAULT_NONE;
}

/* Announces the next record of a stream. False: there is none now. */
static bool start_record(struct fcgi_client *client, const struct bytes *body, bool body_complete)
{
    struct fcgi_header header = {.type = FCGI_PARAMS, .request_id = FCGI_CLIENT_REQUEST_ID};
    uint64_t available = client->params.left;

    if (client->phase == FCGI_CLIENT_SENT)
        return false;
    if (client->phase == FCGI_CLIENT_SENDS_STDIN) {
        if (body->length == 0 && !body_complete)
            return false;
        header.type = FCGI_STDIN;
        available = body->length;
    }
    header.content_length =
        (uint16_t)(available < FCGI_CONTENT_ALIGNED_MAX ? available : FCGI_CONTENT_ALIGNED_MAX);
    header.padding_length = fcgi_padding(header.content_length);
    fcgi_encode_header(&header, client->staged);
    client->staged_position = 0;
    client->staged_length = FCGI_HEADER_LENGTH;
    client->content_left = header.content_length;
    client->padding_left = header.padding_length;
    if (header.content_length == 0) /* the empty record that ends a stream (3.3) */
        client->phase =
            client->phase == FCGI_CLIENT_SENDS_PARAMS ? FCGI_CLIENT_SENDS_STDIN : FCGI_CLIENT_SENT;
    return true;
}

static size_t put_header(struct fcgi_client *client, uint8_t *ret_bytes, size_t size)
{
    struct bytes rest = {
        .data = client->staged + client->staged_position,
        .length = (size_t)(client->staged_length - client->staged_position),
    };
    struct bytes piece = bytes_take(&rest, size);

    bytes_copy(ret_bytes, piece);
    client->staged_position = (uint8_t)(client->staged_position + piece.length);
    return piece.length;
}

static size_t put_content(struct fcgi_client *client, struct bytes *body, uint8_t *ret_bytes, size_t size)
{
    size_t limit = size < client->content_left ? size : client->content_left;
    size_t done;

    if (client->phase == FCGI_CLIENT_SENDS_PARAMS) {
        done = fcgi_pairs_encoder_next(&client->params, ret_bytes, limit);
    } else {
        struct bytes piece = bytes_take(body, limit);

        bytes_copy(ret_bytes, piece);
        done = piece.length;
    }
    client->content_left = (uint16_t)(client->content_left - done);
    return done;
}

static size_t put_padding(struct fcgi_client *client, uint8_t *ret_bytes, size_t size)
{
    size_t done = size < client->padding_left ? size : client->padding_left;

    memset(ret_bytes, 0, done);
    client->padding_left = (uint8_t)(client->padding_left - done);
    return done;
}

size_t fcgi_client_send(struct fcgi_client *client, struct bytes *body, bool body_complete,
                        uint8_t *ret_bytes, size_t size)
{
    size_t done = 0;

    while (done < size) {
        uint8_t *to = ret_bytes + done;
        size_t room = size - done;

        if (client->staged_position < client->staged_length)
            done += put_header(client, to, room);
        else if (client->content_left > 0 && client->phase == FCGI_CLIENT_SENDS_STDIN && body->length == 0)
            break;
        else if (client->content_left > 0)
            done += put_content(client, body, to, room);
        else if (client->padding_left > 0)
            done += put_padding(client, to, room);
        else if (!start_record(client, body, body_complete))
            break;
    }
    return done;
}

bool fcgi_client_sent(const struct fcgi_client *client)
{
    return client->phase == FCGI_CLIENT_SENT && client->staged_position == client->staged_length;
}

/* Section 4: everything that has no request id is management; its types may grow, but may not be ours. */
static enum wire_fault check_management(uint8_t type)
{
    if (type >= FCGI_BEGIN_REQUEST && type <= FCGI_DATA)
        return WIRE_FAULT_NULL_REQUEST_ID;
    return type == FCGI_GET_VALUES ? WIRE_FAULT_TYPE : WIRE_FAULT_NONE;
}

static enum wire_fault check_header(const struct fcgi_client *client)
{
    const struct fcgi_header *header = &client->parser.header;
    bool stream_ended = false;

    if (header->request_id == FCGI_NULL_REQUEST_ID)
        return check_management(header->type);
    switch (header->type) {
    case FCGI_STDOUT:
        stream_ended = client->stdout_ended;
        break;
    case FCGI_STDERR:
        stream_ended = client->stderr_ended;
        break;
    case FCGI_END_REQUEST:
        if (header->content_length != FCGI_BODY_LENGTH)
            return WIRE_FAULT_BODY_LENGTH;
        break;
    case FCGI_GET_VALUES:
    case FCGI_GET_VALUES_RESULT:
    case FCGI_UNKNOWN_TYPE:
        return WIRE_FAULT_MANAGEMENT_ID;
    default:
        return WIRE_FAULT_TYPE;
    }
    if (header->request_id != FCGI_CLIENT_REQUEST_ID)
        return WIRE_FAULT_REQUEST_ID;
    if (client->ended)
        return WIRE_FAULT_AFTER_END;
    if (stream_ended && header->content_length > 0)
        return WIRE_FAULT_STREAM_ENDED;
    return WIRE_FAULT_NONE;
}

/* FCGI_CLIENT_MORE: nothing to tell. */
static enum fcgi_client_event take_content(struct fcgi_client *client, struct bytes content)
{
    switch (client->parser.header.type) {
    case FCGI_STDOUT:
        return FCGI_CLIENT_STDOUT;
    case FCGI_STDERR:
        return FCGI_CLIENT_STDERR;
    case FCGI_END_REQUEST:
        bytes_copy(client->body + client->body_length, content);
        client->body_length = (uint8_t)(client->body_length + content.length);
        return FCGI_CLIENT_MORE;
    default:
        return FCGI_CLIENT_MORE;
    }
}

/* FCGI_CLIENT_MORE: nothing to tell. */
static enum fcgi_client_event end_record(struct fcgi_client *client)
{
    const struct fcgi_header *header = &client->parser.header;

    if (header->type == FCGI_END_REQUEST) {
        client->end = fcgi_decode_end_request(client->body);
        client->ended = true;
        return FCGI_CLIENT_END;
    }
    if (header->content_length == 0) {
        client->stdout_ended |= header->type == FCGI_STDOUT;
        client->stderr_ended |= header->type == FCGI_STDERR;
    }
    return FCGI_CLIENT_MORE;
}

enum fcgi_client_event fcgi_client_receive(struct fcgi_client *client, struct bytes *input,
                                           struct bytes *ret_piece)
{
    struct bytes content;
    enum fcgi_client_event event = FCGI_CLIENT_MORE;

    while (client->fault == WIRE_FAULT_NONE) {
        switch (fcgi_parser_next(&client->parser, input, &content)) {
        case FCGI_EVENT_MORE:
            return FCGI_CLIENT_MORE;
        case FCGI_EVENT_HEADER:
            client->fault = check_header(client);
            break;
        case FCGI_EVENT_CONTENT:
            event = take_content(client, content);
            if (event != FCGI_CLIENT_MORE) {
                *ret_piece = content;
                return event;
            }
            break;
        case FCGI_EVENT_END:
            event = end_record(client);
            if (event != FCGI_CLIENT_MORE)
                return event;
            break;
        case FCGI_EVENT_FAULT:
            client->fault = client->parser.fault;
            break;
        }
    }
    return FCGI_CLIENT_FAULT;
}

enum wire_fault fcgi_client_eof(const struct fcgi_client *client)
{
    if (client->fault != WIRE_FAULT_NONE)
        return client->fault;
    return client->ended && fcgi_parser_idle(&client->parser) ? WIRE_FAULT_NONE : WIRE_FAULT_CUT;
}
