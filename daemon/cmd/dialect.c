/* FastCGI and SCGI; see dialect.h. */
#include "daemon/cmd/dialect.h"

#include <stdio.h>

static enum wire_fault fastcgi_start(union dialect_client *client, const struct pair *params, size_t count)
{
    return fcgi_client_init(&client->fcgi, params, count, 0);
}

static size_t fastcgi_send(union dialect_client *client, struct bytes *body, uint8_t *ret_bytes, size_t size)
{
    return fcgi_client_send(&client->fcgi, body, true, ret_bytes, size);
}

static enum dialect_event fastcgi_receive(union dialect_client *client, struct bytes *input,
                                          struct bytes *ret_piece)
{
    switch (fcgi_client_receive(&client->fcgi, input, ret_piece)) {
    case FCGI_CLIENT_MORE:
        return DIALECT_MORE;
    case FCGI_CLIENT_STDOUT:
        return DIALECT_ANSWER;
    case FCGI_CLIENT_STDERR:
        return DIALECT_ERROR;
    case FCGI_CLIENT_END:
    case FCGI_CLIENT_FAULT:
        break;
    }
    return DIALECT_END;
}

static bool fastcgi_complains(const union dialect_client *client, char *ret_text, size_t size)
{
    const struct fcgi_header *header = &client->fcgi.parser.header;
    uint8_t status = client->fcgi.end.protocol_status;
    enum wire_fault fault = fcgi_client_eof(&client->fcgi);

    if (fault == WIRE_FAULT_NONE && status == FCGI_REQUEST_COMPLETE)
        return false;
    if (fault == WIRE_FAULT_NONE)
        snprintf(ret_text, size, "the worker rejected the request: protocol status %u (%s)", status,
                 fcgi_status_name(status));
    else if (fault == WIRE_FAULT_CUT)
        snprintf(ret_text, size, "the worker closed the connection before the end of its answer");
    else if (fault == WIRE_FAULT_VERSION) /* what is no record has no type */
        snprintf(ret_text, size, "received %s", wire_fault_text(fault));
    else
        snprintf(ret_text, size, "received %s (type %u, %s; request id %u; %u bytes)", wire_fault_text(fault),
                 header->type, fcgi_type_name(header->type), header->request_id, header->content_length);
    return true;
}

const struct dialect dialect_fastcgi = {
    .start = fastcgi_start,
    .send = fastcgi_send,
    .receive = fastcgi_receive,
    .complains = fastcgi_complains,
};

static enum wire_fault scgi_start(union dialect_client *client, const struct pair *params, size_t count)
{
    return scgi_client_init(&client->scgi, params, count);
}

static size_t scgi_send(union dialect_client *client, struct bytes *body, uint8_t *ret_bytes, size_t size)
{
    return scgi_client_send(&client->scgi, body, ret_bytes, size);
}

static enum dialect_event scgi_receive(union dialect_client *client, struct bytes *input,
                                       struct bytes *ret_piece)
{
    (void)client;
    if (input->length == 0)
        return DIALECT_MORE;
    *ret_piece = bytes_take(input, input->length);
    return DIALECT_ANSWER;
}

/* The end of the connection is the only end that there is. */
static bool scgi_complains(const union dialect_client *client, char *ret_text, size_t size)
{
    (void)client;
    (void)ret_text;
    (void)size;
    return false;
}

const struct dialect dialect_scgi = {
    .start = scgi_start,
    .send = scgi_send,
    .receive = scgi_receive,
    .complains = scgi_complains,
};
