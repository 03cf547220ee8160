/* Connections and their rows; see connection.h. */
#include "pool/worker/connection.h"

#include "pool/worker/acceptor.h"
#include "pool/worker/copy.h"
#include "pool/worker/drain.h"
#include "pool/worker/hot.h"
#include "pool/worker/lock.h"
#include "pool/worker/process.h"
#include "pool/worker/wake.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

_Static_assert(PAGE_METHOD % 8 == 0 && PAGE_URI % 8 == 0, "texts are copied by the word");

static void lock(struct connection *connection)
{
    lock_take(&connection->lock);
}

static void unlock(struct connection *connection)
{
    lock_drop(&connection->lock);
}

/* ---- rows ---- */

static void begin_write(struct page_connection *row)
{
    __atomic_store_n(&row->seq, row->seq + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

static void end_write(struct page_connection *row)
{
    __atomic_store_n(&row->seq, row->seq + 1, __ATOMIC_RELEASE);
}

static bool take(struct page_connection *row)
{
    uint32_t free = PAGE_FREE;
    return __atomic_load_n(&row->state, __ATOMIC_RELAXED) == PAGE_FREE &&
           __atomic_compare_exchange_n(&row->state, &free, PAGE_CONNECTED, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

/* Nothing of a former connection may be seen in the row when it is taken again. */
static void free_row(struct page_connection *row)
{
    begin_write(row);
    row->pid = row->tid = 0;
    row->since_ns = row->request_ns = 0;
    row->method[0] = row->uri[0] = '\0';
    end_write(row);
    __atomic_store_n(&row->state, PAGE_FREE, __ATOMIC_RELEASE);
}

/* Of a process that may have died, or exec'ed, while it wrote. */
static void free_left_row(struct page_connection *row)
{
    __atomic_store_n(&row->seq, row->seq & ~1U, __ATOMIC_SEQ_CST);
    free_row(row);
}

/* Frees the rows of processes that died with a connection. */
static void sweep(void)
{
    int error = errno;
    for (size_t i = 0; i < PAGE_CONNECTIONS; i++) {
        struct page_connection *row = &process.page->connections[i];
        int32_t pid = __atomic_load_n(&row->pid, __ATOMIC_SEQ_CST);
        // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a row of a mapped page
        if (row->state != PAGE_FREE && pid != 0 && pid != process.pid && syscall(SYS_kill, pid, 0) < 0 &&
            errno == ESRCH &&
            __atomic_compare_exchange_n(&row->pid, &pid, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            free_left_row(row);
    }
    errno = error;
}

static struct page_connection *take_any_row(void)
{
    for (size_t i = 0; i < PAGE_CONNECTIONS; i++) {
        if (take(&process.page->connections[i]))
            return &process.page->connections[i];
    }
    return NULL;
}

/* NULL: there is none. */
static __attribute__((noinline)) struct page_connection *find_row(void)
{
    struct page_connection *row = take_any_row();
    if (row)
        return row;
    sweep();
    return take_any_row();
}

void connection_forget(pid_t pid)
{
    for (size_t i = 0; i < PAGE_CONNECTIONS; i++) {
        struct page_connection *row = &process.page->connections[i];
        if (row->state != PAGE_FREE && row->pid == pid)
            free_left_row(row);
    }
}

/* ---- states ---- */

static inline void measure(uint64_t request_ns, uint64_t now)
{
    unsigned bucket = page_bucket((now - request_ns) / 1000U);
    __atomic_add_fetch(&process.page->service[bucket], 1, __ATOMIC_RELAXED);
}

void connection_measure(uint64_t since_ns)
{
    measure(since_ns, process_now());
}

/* To another state; the lock is held. */
static HOT void turn(struct connection *connection, enum page_state state)
{
    struct page_connection *row = connection->row;
    uint64_t now = process_now();
    if (connection->state == PAGE_BUSY && !process.hosted)
        measure(connection->since_ns, now);
    connection->state = (uint8_t)state;
    connection->since_ns = now;
    if (state == PAGE_BUSY)
        connection->requests++;
    if (row) {
        begin_write(row);
        row->tid = connection->tid;
        row->since_ns = now;
        if (state == PAGE_BUSY) {
            row->request_ns = now;
            row->requests = connection->requests;
            copy_text(row->method, connection->sight.method, sizeof row->method);
            copy_text(row->uri, connection->sight.uri, sizeof row->uri);
        }
        __atomic_store_n(&row->state, state, __ATOMIC_RELAXED);
        end_write(row);
    }
}

static inline void count(void)
{
    uint64_t limit = __atomic_load_n(&process.page->orders.max_requests, __ATOMIC_RELAXED);
    if (__atomic_add_fetch(&process.page->report.requests, 1, __ATOMIC_SEQ_CST) == limit)
        wake_master(PAGE_WAKE_LIMIT);
}

void connection_count(void)
{
    count();
}

static inline void busy(struct connection *connection)
{
    bool kept = connection->state == PAGE_KEPT;
    turn(connection, PAGE_BUSY);
    if (!process.hosted)
        count();
    if (kept)
        wake_if(PAGE_WAKE_REQUEST);
}

HOT void connection_open(struct connection *connection, int fd, pid_t tid)
{
    /* The row that this descriptor had before is probably free, and warm. */
    struct page_connection *row = connection->row;
    if (PROCESS_UNLIKELY(!row || !take(row)))
        row = find_row();
    connection->row = row;
    connection->requests = 0;
    connection->fd = fd;
    connection->tid = tid;
    connection->state = PAGE_CONNECTED;
    connection->rests = false;
    connection->lock = false;
    sight_init(&connection->sight);
    if (row) {
        begin_write(row);
        row->pid = process.pid;
        row->tid = tid;
        row->fd = fd;
        row->requests = 0;
        row->since_ns = process_tick();
        end_write(row);
    } else {
        __atomic_add_fetch(&process.page->report.overflow, 1, __ATOMIC_SEQ_CST);
    }
    __atomic_add_fetch(&process.pool->accepts, 1, __ATOMIC_RELAXED);
}

void connection_move(struct connection *connection, int fd)
{
    struct page_connection *row = connection->row;
    connection->fd = fd;
    if (row) {
        begin_write(row);
        row->fd = fd;
        end_write(row);
    }
}

HOT void connection_close(struct connection *connection)
{
    lock(connection);
    if (connection->state == PAGE_BUSY && !process.hosted)
        measure(connection->since_ns, process_now());
    connection->state = PAGE_FREE;
    if (connection->row)
        free_row(connection->row);
    else
        __atomic_sub_fetch(&process.page->report.overflow, 1, __ATOMIC_SEQ_CST);
    unlock(connection);
    drain_closed();
}

static HOT __attribute__((noinline)) void begins(struct connection *connection)
{
    lock(connection);
    connection->rests = false;
    connection->tid = process_tid();
    if (connection->state == PAGE_CONNECTED || connection->state == PAGE_KEPT)
        busy(connection);
    unlock(connection);
}

static __attribute__((noinline)) void read_while_kept(struct connection *connection)
{
    connection->rests = sight_rests(&connection->sight);
    if (connection->rests)
        drain_kept(connection->fd);
}

/* In one piece with sight_read, where both are compiled as one: a program that reads a header, and then its
 * content, comes here five times a request. */
HOT __attribute__((flatten)) void connection_read(struct connection *connection, const void *bytes,
                                                  size_t size)
{
    /* What follows the header of the only request is its body: nothing to see. */
    if (connection->state == PAGE_BUSY && !sight_keeps(&connection->sight))
        return;
    if (sight_read(&connection->sight, bytes, size) & SIGHT_BEGUN)
        begins(connection);
    else if (PROCESS_UNLIKELY(connection->state == PAGE_KEPT))
        read_while_kept(connection);
}

void connection_missed(struct connection *connection)
{
    connection->rests = false;
    if (sight_missed(&connection->sight) & SIGHT_BEGUN)
        begins(connection);
}

static void begins_rest(struct connection *connection)
{
    if (!process_held && !process.hosted)
        process_hold_signal(); /* from here on the row may bring it */
    lock(connection);
    if (connection->state == PAGE_CONNECTED || connection->state == PAGE_BUSY) {
        connection->tid = process_tid();
        turn(connection, PAGE_KEPT);
        connection->rests = true;
    }
    unlock(connection);
    drain_kept(connection->fd);
}

HOT void connection_wrote(struct connection *connection, const void *bytes, size_t size)
{
    /* An answer before a request: that was read where nobody can see it. */
    if (PROCESS_UNLIKELY(connection->state == PAGE_CONNECTED) && !sight_manages(&connection->sight))
        connection_unseen(connection);
    if (PROCESS_LIKELY(!(sight_wrote(&connection->sight, bytes, size) & SIGHT_ENDED)))
        return;
    if (sight_keeps(&connection->sight))
        begins_rest(connection);
    else
        connection_finishes(connection);
}

/* Calls `see` with each part of the `size` bytes that were read or written. */
static void see_parts(struct connection *connection, const struct iovec *parts, int parts_count, size_t size,
                      void (*see)(struct connection *, const void *, size_t))
{
    for (int i = 0; i < parts_count && size > 0; i++) {
        size_t part = parts[i].iov_len < size ? parts[i].iov_len : size;
        if (part > 0)
            see(connection, parts[i].iov_base, part);
        size -= part;
    }
}

void connection_read_vector(struct connection *connection, const struct iovec *parts, int parts_count,
                            size_t size)
{
    see_parts(connection, parts, parts_count, size, connection_read);
}

void connection_wrote_vector(struct connection *connection, const struct iovec *parts, int parts_count,
                             size_t size)
{
    see_parts(connection, parts, parts_count, size, connection_wrote);
}

HOT void connection_finishes(struct connection *connection)
{
    if (connection->state == PAGE_FINISHING)
        return;
    lock(connection);
    if (connection->state != PAGE_FREE && connection->state != PAGE_FINISHING) {
        connection->tid = process_tid();
        turn(connection, PAGE_FINISHING);
    }
    connection->rests = false;
    unlock(connection);
}

void connection_unseen(struct connection *connection)
{
    lock(connection);
    if (connection->state == PAGE_CONNECTED)
        busy(connection);
    unlock(connection);
}
