/*
 * What the descriptors of this process are: the listener, an accepted connection, a copy of one, or nothing
 * to us. An entry belongs to its number for good, so whoever has the descriptor open owns it, without a lock.
 */
#ifndef FCGIPOOL_POOL_WORKER_DESCRIPTOR_H
#define FCGIPOOL_POOL_WORKER_DESCRIPTOR_H

#include "pool/worker/connection.h"
#include "pool/worker/process.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum descriptor_kind { DESCRIPTOR_OTHER, DESCRIPTOR_LISTENER, DESCRIPTOR_CONNECTION, DESCRIPTOR_COPY };

struct descriptor {
    uint8_t kind; /* enum descriptor_kind */
    int original; /* COPY: the descriptor whose connection it is */
    int copies;   /* CONNECTION: how many there are */
    struct connection connection;
};

/* By number. */
extern struct descriptor *descriptors;

/* One past the highest number that was ever anything to us; only grows. */
extern unsigned descriptor_end;

/* One past the highest number that the listener ever had. */
extern unsigned descriptor_listener_end;

/* The connection that a copy leads to, or NULL. */
struct connection *descriptor_of_copy(const struct descriptor *copy);

/* The entry of `fd`, whatever it is, or NULL. */
static inline struct descriptor *descriptor_entry(int fd)
{
    return (unsigned)fd < descriptor_end ? &descriptors[fd] : NULL;
}

/* The entry of `fd` unless it is nothing to us. */
static inline struct descriptor *descriptor_at(int fd)
{
    struct descriptor *entry = descriptor_entry(fd);
    return entry && entry->kind != DESCRIPTOR_OTHER ? entry : NULL;
}

static inline bool descriptor_is_listener(int fd)
{
    const struct descriptor *entry = descriptor_entry(fd);
    return entry && entry->kind == DESCRIPTOR_LISTENER;
}

/* The connection that `fd` leads to, or NULL. */
static inline struct connection *descriptor_connection(int fd)
{
    struct descriptor *entry = descriptor_entry(fd);
    if (!entry)
        return NULL;
    if (PROCESS_LIKELY(entry->kind == DESCRIPTOR_CONNECTION))
        return &entry->connection;
    return PROCESS_UNLIKELY(entry->kind == DESCRIPTOR_COPY) ? descriptor_of_copy(entry) : NULL;
}

/* First of all. False: no memory. */
bool descriptor_reserve(void);

/* `fd` is the listener. */
void descriptor_listens(int fd);

/* `fd` was accepted. */
void descriptor_accepted(int fd, pid_t tid);

/* `fd` is about to be closed, or was found closed. */
void descriptor_closed(int fd);

/* `copy` is now what `fd` is; a failed call leaves all as it was. Returns `copy`. */
int descriptor_copied(int fd, int copy);

/* Calls `visit` for each entry of this kind. Async-signal-safe if `visit` is. */
void descriptor_each(enum descriptor_kind kind, void (*visit)(int fd, struct connection *connection));

/* True when there is an entry of this kind. */
bool descriptor_any(enum descriptor_kind kind);

/* In the child of a fork: the listener stays, the connections are the parent's. */
void descriptor_forked(void);

#endif
