/* One request, as it is sent; see scgi_client.h. */
#include "protocol/scgi_client.h"

enum wire_fault scgi_client_init(struct scgi_client *client, const struct pair *params, size_t count)
{
    struct scgi_encoder encoder;
    enum wire_fault fault = scgi_encoder_init(&encoder, params, count);

    if (fault == WIRE_FAULT_NONE)
        *client = (struct scgi_client){.header = encoder, .body_left = encoder.content_length};
    return fault;
}

size_t scgi_client_send(struct scgi_client *client, struct bytes *body, uint8_t *ret_bytes, size_t size)
{
    size_t done = scgi_encoder_next(&client->header, ret_bytes, size);
    size_t room = size - done;
    struct bytes piece = bytes_take(body, room < client->body_left ? room : (size_t)client->body_left);

    bytes_copy(ret_bytes + done, piece);
    client->body_left -= piece.length;
    return done + piece.length;
}

bool scgi_client_sent(const struct scgi_client *client)
{
    return client->header.left == 0 && client->body_left == 0;
}
