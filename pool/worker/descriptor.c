/* The descriptors of this process; see descriptor.h. */
#include "pool/worker/descriptor.h"

#include "pool/worker/hot.h"

#include <errno.h>
#include <sys/mman.h>

/* Those with higher numbers are not seen. */
#define DESCRIPTORS 65536

/* Room for them is reserved once, so that an entry is found in one step, and made usable by so much at a
 * time. */
#define STEP_BYTES 65536

struct descriptor *descriptors;
unsigned descriptor_end;
unsigned descriptor_listener_end;

static void raise_end(unsigned *end, int fd)
{
    unsigned known = *end;
    while (known <= (unsigned)fd && !__atomic_compare_exchange_n(end, &known, (unsigned)fd + 1, false,
                                                                 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
    }
}

/* What so many entries take, in whole steps. */
static size_t room_for(unsigned entries)
{
    return (entries * sizeof *descriptors + STEP_BYTES - 1) / STEP_BYTES * STEP_BYTES;
}

/* Makes the entry of a number that has none yet. NULL: out of range, or of memory. */
static __attribute__((noinline)) struct descriptor *make_entry(int fd)
{
    int error = errno;
    if ((unsigned)fd >= DESCRIPTORS)
        return NULL;
    size_t room = room_for((unsigned)fd + 1);
    bool usable =
        room <= room_for(descriptor_end) || mprotect(descriptors, room, PROT_READ | PROT_WRITE) == 0;
    errno = error;
    if (!usable)
        return NULL;
    raise_end(&descriptor_end, fd);
    return descriptor_entry(fd);
}

bool descriptor_reserve(void)
{
    const size_t room = room_for(DESCRIPTORS);
    // cppcheck-suppress invalidFunctionArg
    descriptors = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return descriptors != MAP_FAILED && make_entry(0);
}

/* The entry of `fd`, made if need be. */
static inline struct descriptor *entry_of(int fd)
{
    struct descriptor *entry = descriptor_entry(fd);
    return PROCESS_LIKELY(entry != NULL) ? entry : make_entry(fd);
}

static void make_listener(int fd, struct descriptor *entry)
{
    entry->kind = DESCRIPTOR_LISTENER;
    raise_end(&descriptor_listener_end, fd);
}

void descriptor_listens(int fd)
{
    struct descriptor *entry = entry_of(fd);
    if (entry)
        make_listener(fd, entry);
}

HOT void descriptor_accepted(int fd, pid_t tid)
{
    struct descriptor *entry = entry_of(fd);
    if (!entry)
        return;
    if (PROCESS_UNLIKELY(entry->kind != DESCRIPTOR_OTHER))
        descriptor_closed(fd); /* behind our back */
    connection_open(&entry->connection, fd, tid);
    entry->copies = 0;
    __atomic_store_n(&entry->kind, DESCRIPTOR_CONNECTION, __ATOMIC_RELEASE);
}

/* ---- copies ---- */

static int heir, heir_of;

static void make_heir(int fd, struct connection *connection)
{
    struct descriptor *entry = descriptor_at(fd);
    (void)connection;
    if (entry->original != heir_of)
        return;
    if (heir < 0)
        heir = fd;
    entry->original = heir;
}

/* A connection whose number is closed lives on in its first copy. */
static void bequeath(int fd, struct descriptor *entry)
{
    heir = -1;
    heir_of = fd;
    descriptor_each(DESCRIPTOR_COPY, make_heir);
    struct descriptor *to = descriptor_at(heir);
    if (!to) {
        connection_close(&entry->connection);
        return;
    }
    to->connection = entry->connection;
    connection_move(&to->connection, heir);
    to->copies = entry->copies - 1;
    to->kind = DESCRIPTOR_CONNECTION;
}

struct connection *descriptor_of_copy(const struct descriptor *copy)
{
    struct descriptor *original = descriptor_at(copy->original);
    return original && original->kind == DESCRIPTOR_CONNECTION ? &original->connection : NULL;
}

static void close_copy(const struct descriptor *entry)
{
    struct descriptor *original = descriptor_at(entry->original);
    if (original && original->kind == DESCRIPTOR_CONNECTION)
        original->copies--;
}

int descriptor_copied(int fd, int copy)
{
    struct descriptor *from = descriptor_at(fd), *to;
    if (copy < 0 || copy == fd)
        return copy;
    if (descriptor_at(copy))
        descriptor_closed(copy);
    if (!from || !(to = entry_of(copy)))
        return copy;
    if (from->kind == DESCRIPTOR_LISTENER) {
        make_listener(copy, to);
        return copy;
    }
    to->original = from->kind == DESCRIPTOR_COPY ? from->original : fd;
    to->kind = DESCRIPTOR_COPY;
    from = descriptor_at(to->original);
    if (from)
        from->copies++;
    return copy;
}

HOT void descriptor_closed(int fd)
{
    struct descriptor *entry = descriptor_at(fd);
    if (!entry)
        return;
    /* Once, whoever comes first: the application, or a thread that finds it closed. */
    enum descriptor_kind kind = __atomic_exchange_n(&entry->kind, DESCRIPTOR_OTHER, __ATOMIC_SEQ_CST);
    if (kind == DESCRIPTOR_COPY)
        close_copy(entry);
    else if (kind == DESCRIPTOR_CONNECTION && PROCESS_UNLIKELY(entry->copies > 0))
        bequeath(fd, entry);
    else if (kind == DESCRIPTOR_CONNECTION)
        connection_close(&entry->connection);
}

/* ---- all of them ---- */

void descriptor_each(enum descriptor_kind kind, void (*visit)(int fd, struct connection *connection))
{
    for (int fd = 0; (unsigned)fd < descriptor_end; fd++) {
        struct descriptor *entry = &descriptors[fd];
        if (entry->kind == kind)
            visit(fd, &entry->connection);
    }
}

bool descriptor_any(enum descriptor_kind kind)
{
    for (int fd = 0; (unsigned)fd < descriptor_end; fd++) {
        const struct descriptor *entry = &descriptors[fd];
        if (__atomic_load_n(&entry->kind, __ATOMIC_SEQ_CST) == kind)
            return true;
    }
    return false;
}

void descriptor_forked(void)
{
    for (unsigned fd = 0; fd < descriptor_end; fd++) {
        if (descriptors[fd].kind != DESCRIPTOR_LISTENER)
            descriptors[fd].kind = DESCRIPTOR_OTHER;
    }
}
