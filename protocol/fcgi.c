/* Records, one at a time; see fcgi.h. */
#include "protocol/fcgi.h"

void fcgi_parser_init(struct fcgi_parser *parser)
{
    *parser = (struct fcgi_parser){0};
}

/* Gathers a header. The version is judged on its first byte: what is not FastCGI need not be eight bytes
 * long. */
static enum fcgi_event take_header(struct fcgi_parser *parser, struct bytes *input)
{
    struct bytes piece = bytes_take(input, (size_t)(FCGI_HEADER_LENGTH - parser->raw_length));

    bytes_copy(parser->raw + parser->raw_length, piece);
    parser->raw_length = (uint8_t)(parser->raw_length + piece.length);
    if (parser->raw_length > 0 && parser->raw[0] != FCGI_VERSION) {
        parser->fault = WIRE_FAULT_VERSION;
        return FCGI_EVENT_FAULT;
    }
    if (parser->raw_length < FCGI_HEADER_LENGTH)
        return FCGI_EVENT_MORE;

    parser->header = (struct fcgi_header){
        .type = parser->raw[1],
        .request_id = bytes_get_u16(parser->raw + 2),
        .content_length = bytes_get_u16(parser->raw + 4),
        .padding_length = parser->raw[6],
    };
    parser->content_left = parser->header.content_length;
    parser->padding_left = parser->header.padding_length;
    parser->raw_length = 0;
    parser->in_record = true;
    return FCGI_EVENT_HEADER;
}

enum fcgi_event fcgi_parser_next(struct fcgi_parser *parser, struct bytes *input, struct bytes *ret_content)
{
    if (parser->fault != WIRE_FAULT_NONE)
        return FCGI_EVENT_FAULT;
    if (!parser->in_record)
        return take_header(parser, input);
    if (parser->content_left > 0) {
        if (input->length == 0)
            return FCGI_EVENT_MORE;
        *ret_content = bytes_take(input, parser->content_left);
        parser->content_left = (uint16_t)(parser->content_left - ret_content->length);
        return FCGI_EVENT_CONTENT;
    }
    parser->padding_left = (uint8_t)(parser->padding_left - bytes_take(input, parser->padding_left).length);
    if (parser->padding_left > 0)
        return FCGI_EVENT_MORE;
    parser->in_record = false;
    return FCGI_EVENT_END;
}

bool fcgi_parser_idle(const struct fcgi_parser *parser)
{
    return !parser->in_record && parser->raw_length == 0;
}

uint8_t fcgi_padding(uint16_t content_length)
{
    return (uint8_t)((FCGI_ALIGNMENT - content_length % FCGI_ALIGNMENT) % FCGI_ALIGNMENT);
}

void fcgi_encode_header(const struct fcgi_header *header, uint8_t *ret_bytes)
{
    ret_bytes[0] = FCGI_VERSION;
    ret_bytes[1] = header->type;
    bytes_put_u16(ret_bytes + 2, header->request_id);
    bytes_put_u16(ret_bytes + 4, header->content_length);
    ret_bytes[6] = header->padding_length;
    ret_bytes[7] = 0;
}

/* A record with a zeroed body; returns the body. */
static uint8_t *encode_discrete(uint8_t type, uint16_t request_id, uint8_t *ret_bytes)
{
    struct fcgi_header header = {.type = type, .request_id = request_id, .content_length = FCGI_BODY_LENGTH};

    fcgi_encode_header(&header, ret_bytes);
    return memset(ret_bytes + FCGI_HEADER_LENGTH, 0, FCGI_BODY_LENGTH);
}

void fcgi_encode_begin_request(uint16_t request_id, const struct fcgi_begin_request *body, uint8_t *ret_bytes)
{
    uint8_t *to = encode_discrete(FCGI_BEGIN_REQUEST, request_id, ret_bytes);

    bytes_put_u16(to, body->role);
    to[2] = body->flags;
}

void fcgi_encode_end_request(uint16_t request_id, const struct fcgi_end_request *body, uint8_t *ret_bytes)
{
    uint8_t *to = encode_discrete(FCGI_END_REQUEST, request_id, ret_bytes);

    bytes_put_u32(to, body->app_status);
    to[4] = body->protocol_status;
}

void fcgi_encode_unknown_type(uint8_t type, uint8_t *ret_bytes)
{
    encode_discrete(FCGI_UNKNOWN_TYPE, FCGI_NULL_REQUEST_ID, ret_bytes)[0] = type;
}

void fcgi_encode_abort_request(uint16_t request_id, uint8_t *ret_bytes)
{
    struct fcgi_header header = {.type = FCGI_ABORT_REQUEST, .request_id = request_id};

    fcgi_encode_header(&header, ret_bytes);
}

struct fcgi_begin_request fcgi_decode_begin_request(const uint8_t *body)
{
    return (struct fcgi_begin_request){.role = bytes_get_u16(body), .flags = body[2]};
}

struct fcgi_end_request fcgi_decode_end_request(const uint8_t *body)
{
    return (struct fcgi_end_request){.app_status = bytes_get_u32(body), .protocol_status = body[4]};
}

uint8_t fcgi_decode_unknown_type(const uint8_t *body)
{
    return body[0];
}

static const char *const type_names[256] = {
#define FCGI_TYPE(id, number) [number] = #id,
#include "protocol/fcgi.def"
};

static const char *const status_names[256] = {
#define FCGI_STATUS(id, number) [number] = #id,
#include "protocol/fcgi.def"
};

const char *fcgi_type_name(uint8_t type)
{
    return type_names[type] ? type_names[type] : "unknown";
}

const char *fcgi_status_name(uint8_t protocol_status)
{
    return status_names[protocol_status] ? status_names[protocol_status] : "unknown";
}
