/* Bytes that grow. What is not there ends the process: nobody could be answered. */
#ifndef FCGIPOOL_POOL_WORKER_HOST_BUFFER_H
#define FCGIPOOL_POOL_WORKER_HOST_BUFFER_H

#include "protocol/bytes.h"

#include <stdio.h>
#include <stdlib.h>

struct buffer {
    uint8_t *data; /* owned */
    size_t length, capacity;
    size_t taken; /* of `length`, from the front, that buffer_drop has taken off */
};

static inline void *buffer_must(void *allocated)
{
    if (!allocated) {
        fputs("fcgipool-host: out of memory\n", stderr);
        abort();
    }
    return allocated;
}

static inline void buffer_fini(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}

/* What is in it. */
static inline struct bytes buffer_rest(const struct buffer *buffer)
{
    return (struct bytes){buffer->data + buffer->taken, buffer->length - buffer->taken};
}

static inline void buffer_clear(struct buffer *buffer)
{
    buffer->length = buffer->taken = 0;
}

/* Room for `size` more bytes at the end, which count when buffer->length is raised by who has filled them. */
static inline uint8_t *buffer_room(struct buffer *buffer, size_t size)
{
    if (buffer->taken > 0 && buffer->taken >= buffer->length - buffer->taken) { /* moving is cheap by now */
        bytes_copy(buffer->data, buffer_rest(buffer));
        buffer->length -= buffer->taken;
        buffer->taken = 0;
    }
    if (size > buffer->capacity - buffer->length) {
        size_t capacity = buffer->capacity ? buffer->capacity : 256;
        while (size > capacity - buffer->length)
            capacity *= 2;
        buffer->data = (uint8_t *)buffer_must(realloc(buffer->data, capacity));
        buffer->capacity = capacity;
    }
    return buffer->data + buffer->length;
}

static inline void buffer_add(struct buffer *buffer, struct bytes bytes)
{
    bytes_copy(buffer_room(buffer, bytes.length), bytes);
    buffer->length += bytes.length;
}

static inline void buffer_drop(struct buffer *buffer, size_t size)
{
    buffer->taken += size;
    if (buffer->taken == buffer->length)
        buffer_clear(buffer);
}

#endif
