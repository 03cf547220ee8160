/*
 * A run of bytes that belongs to somebody else, and the big-endian numbers of the wire.
 */
#ifndef FCGIPOOL_PROTOCOL_BYTES_H
#define FCGIPOOL_PROTOCOL_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Borrowed. `data` may be NULL when `length` is 0. */
struct bytes {
    const uint8_t *data;
    size_t length;
};

/* The characters of `text`, without the terminating null byte. */
static inline struct bytes bytes_of(const char *text)
{
    return (struct bytes){.data = (const uint8_t *)text, .length = strlen(text)};
}

/* Takes at most `limit` bytes off the front of `from` and returns them. */
static inline struct bytes bytes_take(struct bytes *from, size_t limit)
{
    struct bytes taken = {.data = from->data, .length = from->length < limit ? from->length : limit};

    if (taken.length > 0) {
        from->data += taken.length;
        from->length -= taken.length;
    }
    return taken;
}

/* Copies; any of the two may be NULL when there is nothing to copy. */
static inline void bytes_copy(uint8_t *to, struct bytes from)
{
    if (from.length > 0)
        memcpy(to, from.data, from.length);
}

static inline uint16_t bytes_get_u16(const uint8_t *from)
{
    return (uint16_t)(from[0] << 8 | from[1]);
}

static inline uint32_t bytes_get_u32(const uint8_t *from)
{
    return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

static inline void bytes_put_u16(uint8_t *to, uint16_t value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

static inline void bytes_put_u32(uint8_t *to, uint32_t value)
{
    bytes_put_u16(to, (uint16_t)(value >> 16));
    bytes_put_u16(to + 2, (uint16_t)value);
}

#endif
