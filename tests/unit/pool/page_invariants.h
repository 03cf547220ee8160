/*
 * What holds of a view of any page, honest or not, whoever writes to it meanwhile. For the unit test and the
 * fuzzing harness: CHECK(x) is theirs.
 */
#ifndef FCGIPOOL_TESTS_PAGE_INVARIANTS_H
#define FCGIPOOL_TESTS_PAGE_INVARIANTS_H

#include "pool/page_read.h"

#include <string.h>

static inline void check_scan(const struct page_scan *scan, uint64_t now_ns)
{
    uint32_t connections = 0;
    CHECK(scan->attached_pid >= 0 && scan->accepted_pid >= 0);
    CHECK(scan->accepted_ns <= now_ns);
    CHECK(scan->requests <= PAGE_COUNT_MAX);
    CHECK(scan->overflow <= PAGE_NUMBER_MAX && scan->drained <= PAGE_NUMBER_MAX);
    CHECK(scan->unlisted <= PAGE_NUMBER_MAX);
    CHECK((scan->flags & ~(uint32_t)(PAGE_NESTED | PAGE_ENDS_OVERDUE)) == 0);
    CHECK(scan->beat_ns <= now_ns);
    CHECK(scan->waiting <= PAGE_ACCEPTORS);
    for (unsigned i = 0; i < PAGE_STATES; i++) {
        connections += scan->numbers[i];
        CHECK((scan->oldest_ns[i] <= now_ns) == (scan->numbers[i] > 0));
        CHECK(scan->numbers[i] > 0 || scan->oldest_ns[i] == UINT64_MAX);
    }
    CHECK(scan->numbers[PAGE_FREE] == 0 && connections <= PAGE_CONNECTIONS);
    CHECK(scan->valid || (connections == 0 && scan->requests == 0 && scan->accepted_pid == 0));
}

/* Of a page that nobody writes to. */
static inline void check_same(const struct page_scan *a, const struct page_scan *b)
{
    CHECK(a->valid == b->valid && a->attached_pid == b->attached_pid && a->accepted_pid == b->accepted_pid);
    CHECK(a->accepted_ns == b->accepted_ns && a->requests == b->requests);
    CHECK(a->overflow == b->overflow && a->drained == b->drained && a->flags == b->flags &&
          a->beat_ns == b->beat_ns);
    CHECK(a->unlisted == b->unlisted);
    CHECK(a->waiting == b->waiting && memcmp(a->numbers, b->numbers, sizeof a->numbers) == 0);
    CHECK(memcmp(a->oldest_ns, b->oldest_ns, sizeof a->oldest_ns) == 0);
}

static inline void check_view(const struct page_view *view, uint64_t now_ns)
{
    uint32_t numbers[PAGE_STATES] = {0};
    check_scan(&view->scan, now_ns);
    CHECK(view->acceptor_count <= PAGE_ACCEPTORS && view->connection_count <= PAGE_CONNECTIONS);
    for (unsigned i = 0; i < view->acceptor_count; i++)
        CHECK(view->acceptors[i].pid > 0 && view->acceptors[i].tid >= 0);
    for (unsigned i = 0; i < view->connection_count; i++) {
        const struct page_view_connection *connection = &view->connections[i];
        CHECK(connection->row < PAGE_CONNECTIONS && (i == 0 || connection->row > connection[-1].row));
        CHECK(connection->state > PAGE_FREE && connection->state < PAGE_STATES);
        CHECK(connection->pid >= 0 && connection->tid >= 0 && connection->fd >= -1);
        CHECK(connection->begun_ns <= now_ns);
        CHECK(memchr(connection->method, '\0', sizeof connection->method) != NULL);
        CHECK(memchr(connection->uri, '\0', sizeof connection->uri) != NULL);
        numbers[connection->state]++;
    }
    CHECK(memcmp(numbers, view->scan.numbers, sizeof numbers) == 0);
    for (unsigned i = PAGE_CONNECTED; i < PAGE_STATES; i++) {
        const struct page_view_connection *oldest = page_view_oldest(view, PAGE_IN(i));
        CHECK((oldest != NULL) == (numbers[i] > 0));
        CHECK(oldest == NULL || oldest->begun_ns == view->scan.oldest_ns[i]);
    }
    for (unsigned i = 0; i < PAGE_BUCKETS; i++)
        CHECK(view->service.buckets[i] <= PAGE_COUNT_MAX);
}

#endif
