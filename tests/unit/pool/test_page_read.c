/* Reading a page that nobody may be believed of. */
#include "pool/page_read.h"

#include "pool/assert.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CHECK(x) assert_true(x)
#include "tests/unit/pool/page_invariants.h"

#define NOW_NS 1000000

void assert_failed(const char *expression, const char *file, int line)
{
    print_error("%s:%d: %s\n", file, line, expression);
    abort();
}

static struct page page;
static struct page_scan scan;
static struct page_view view;

static int setup(void **state)
{
    (void)state;
    memset(&page, 0, sizeof page);
    page.about.magic = PAGE_MAGIC;
    page.about.version = PAGE_VERSION;
    page.about.size = PAGE_BYTES;
    return 0;
}

static void look(void)
{
    page_scan(&page, NOW_NS, &scan);
    page_read(&page, NOW_NS, &view);
    check_view(&view, NOW_NS);
    check_same(&scan, &view.scan);
    assert_int_equal(page_requests(&page), scan.requests);
}

static struct page_connection *connection(unsigned row, enum page_state state, uint64_t begun_ns)
{
    struct page_connection *made = &page.connections[row];
    *made = (struct page_connection){.state = state, .pid = 70, .tid = 71, .fd = 5, .since_ns = begun_ns};
    if (state == PAGE_BUSY)
        made->request_ns = begun_ns;
    return made;
}

static void an_empty_page_says_nothing(void **state)
{
    (void)state;
    look();
    assert_true(scan.valid);
    assert_int_equal(scan.accepted_pid, 0);
    assert_int_equal(view.connection_count + view.acceptor_count, 0);
    assert_null(page_view_oldest(&view, PAGE_IN(PAGE_BUSY)));
}

static void a_page_of_another_kind_is_not_read(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        setup(NULL);
        page.report.accepted_pid = 12;
        connection(0, PAGE_BUSY, 10);
        look();
        assert_true(scan.valid);
        if (i == 0)
            page.about.magic++;
        else if (i == 1)
            page.about.version++;
        else
            page.about.size++;
        look();
        assert_false(scan.valid);
        assert_int_equal(scan.accepted_pid + view.connection_count, 0);
    }
}

static void the_report_is_copied(void **state)
{
    (void)state;
    page.report.attached_pid = 11;
    page.report.accepted_pid = 12;
    page.report.accepted_ns = 13;
    page.report.requests = 14;
    page.report.overflow = 16;
    page.report.unlisted = 20;
    page.report.drained = 17;
    page.report.flags = PAGE_NESTED;
    page.report.beat_ns = 14;
    page.service[3] = 18;
    look();
    assert_int_equal(scan.attached_pid, 11);
    assert_int_equal(scan.accepted_pid, 12);
    assert_int_equal(scan.accepted_ns, 13);
    assert_int_equal(scan.beat_ns, 14);
    assert_int_equal(scan.requests, 14);
    assert_int_equal(scan.overflow, 16);
    assert_int_equal(scan.unlisted, 20);
    assert_int_equal(scan.drained, 17);
    assert_int_equal(scan.flags, PAGE_NESTED);
    assert_int_equal(view.service.buckets[3], 18);
}

static void connections_are_counted_by_state(void **state)
{
    (void)state;
    connection(0, PAGE_CONNECTED, 500);
    connection(7, PAGE_BUSY, 300);
    connection(8, PAGE_BUSY, 200);
    connection(9, PAGE_FINISHING, 400);
    connection(47, PAGE_KEPT, 100);
    look();
    assert_int_equal(scan.numbers[PAGE_CONNECTED], 1);
    assert_int_equal(scan.numbers[PAGE_BUSY], 2);
    assert_int_equal(scan.numbers[PAGE_FINISHING], 1);
    assert_int_equal(scan.numbers[PAGE_KEPT], 1);
    assert_int_equal(scan.oldest_ns[PAGE_BUSY], 200);
    assert_int_equal(page_view_oldest(&view, PAGE_IN(PAGE_BUSY))->row, 8);
    assert_int_equal(page_view_oldest(&view, PAGE_IN(PAGE_BUSY) | PAGE_IN(PAGE_KEPT))->row, 47);
    assert_int_equal(page_view_oldest(&view, PAGE_IN(PAGE_CONNECTED) | PAGE_IN(PAGE_BUSY))->row, 8);
    assert_int_equal(view.connections[0].pid, 70);
    assert_int_equal(view.connections[0].tid, 71);
    assert_int_equal(view.connections[0].fd, 5);
}

static void strings_end_though_they_fill_their_room(void **state)
{
    (void)state;
    struct page_connection *row = connection(1, PAGE_BUSY, 10);
    memset(row->method, 'M', sizeof row->method);
    memset(row->uri, 'u', sizeof row->uri);
    connection(2, PAGE_BUSY, 10);
    memcpy(page.connections[2].method, "GET", 4);
    memcpy(page.connections[2].uri, "/a\0b", 5);
    look();
    assert_int_equal(strlen(view.connections[0].method), PAGE_METHOD);
    assert_int_equal(strlen(view.connections[0].uri), PAGE_URI);
    assert_string_equal(view.connections[1].method, "GET");
    assert_string_equal(view.connections[1].uri, "/a");
}

static void a_row_that_is_being_written_has_no_strings_and_no_age(void **state)
{
    (void)state;
    struct page_connection *row = connection(1, PAGE_BUSY, 10);
    memcpy(row->uri, "/torn", 6);
    row->seq = 3;
    look();
    assert_int_equal(view.connection_count, 1);
    assert_string_equal(view.connections[0].uri, "");
    assert_int_equal(view.connections[0].begun_ns, NOW_NS);
    row->seq = 4;
    look();
    assert_string_equal(view.connections[0].uri, "/torn");
    assert_int_equal(view.connections[0].begun_ns, 10);
}

static void times_unknown_or_to_come_are_now(void **state)
{
    (void)state;
    connection(0, PAGE_BUSY, 0);
    connection(1, PAGE_CONNECTED, NOW_NS + 1);
    page.report.accepted_ns = page.report.beat_ns = UINT64_MAX;
    look();
    assert_int_equal(scan.oldest_ns[PAGE_BUSY], NOW_NS);
    assert_int_equal(scan.oldest_ns[PAGE_CONNECTED], NOW_NS);
    assert_int_equal(scan.accepted_ns, NOW_NS);
    assert_int_equal(scan.beat_ns, NOW_NS);
}

static void what_cannot_be_is_not_believed(void **state)
{
    (void)state;
    struct page_connection *row = connection(0, PAGE_KEPT, 10);
    row->pid = -1;
    row->tid = INT32_MIN;
    row->fd = -7;
    connection(1, PAGE_STATES, 10);
    connection(2, (enum page_state)UINT32_MAX, 10);
    page.acceptors[0] = (struct page_acceptor){.pid = -1, .tid = 5, .waiting = 1};
    page.acceptors[1] = (struct page_acceptor){.pid = 9, .tid = -5, .waiting = UINT32_MAX};
    page.report.attached_pid = page.report.accepted_pid = -1;
    page.report.requests = page.service[0] = UINT64_MAX;
    page.report.overflow = page.report.drained = page.report.flags = UINT32_MAX;
    page.report.unlisted = UINT32_MAX;
    look();
    assert_int_equal(view.connection_count, 1);
    assert_int_equal(view.connections[0].pid + view.connections[0].tid, 0);
    assert_int_equal(view.connections[0].fd, -1);
    assert_int_equal(view.acceptor_count, 1);
    assert_int_equal(view.acceptors[0].tid, 0);
    assert_int_equal(scan.waiting, 1);
    assert_int_equal(scan.attached_pid + scan.accepted_pid, 0);
    assert_int_equal(scan.requests, PAGE_COUNT_MAX);
    assert_int_equal(view.service.buckets[0], PAGE_COUNT_MAX);
    assert_int_equal(scan.overflow, PAGE_NUMBER_MAX);
    assert_int_equal(scan.unlisted, PAGE_NUMBER_MAX);
    assert_int_equal(scan.drained, PAGE_NUMBER_MAX);
    assert_int_equal(scan.flags, PAGE_NESTED | PAGE_ENDS_OVERDUE);
}

static void acceptors_that_wait_are_counted(void **state)
{
    (void)state;
    page.acceptors[0] = (struct page_acceptor){.pid = 5, .tid = 5, .waiting = 1};
    page.acceptors[2] = (struct page_acceptor){.pid = 5, .tid = 6, .waiting = 0};
    page.acceptors[63] = (struct page_acceptor){.pid = 8, .tid = 8, .waiting = 1};
    look();
    assert_int_equal(view.acceptor_count, 3);
    assert_int_equal(scan.waiting, 2);
    assert_int_equal(view.acceptors[1].tid, 6);
    assert_false(view.acceptors[1].waiting);
}

static bool is_not(int32_t pid, void *context)
{
    return pid != *(const int32_t *)context;
}

static void rows_of_the_dead_can_be_left_out(void **state)
{
    (void)state;
    int32_t dead = 99;
    page.acceptors[0] = (struct page_acceptor){.pid = dead, .tid = 99, .waiting = 1};
    page.acceptors[1] = (struct page_acceptor){.pid = 8, .tid = 8, .waiting = 1};
    connection(0, PAGE_BUSY, 10)->pid = dead;
    connection(1, PAGE_BUSY, 20);
    look();
    page_view_filter(&view, is_not, &dead);
    check_view(&view, NOW_NS);
    assert_int_equal(view.scan.waiting, 1);
    assert_int_equal(view.acceptors[0].pid, 8);
    assert_int_equal(view.scan.numbers[PAGE_BUSY], 1);
    assert_int_equal(view.scan.oldest_ns[PAGE_BUSY], 20);
    assert_int_equal(view.connections[0].row, 1);
}

static void a_connection_that_changed_is_not_the_same(void **state)
{
    (void)state;
    struct page_connection *row = connection(4, PAGE_CONNECTED, 10);
    look();
    assert_true(page_still(&page, &view.connections[0]));
    row->state = PAGE_BUSY;
    assert_false(page_still(&page, &view.connections[0]));
    row->state = PAGE_CONNECTED;
    row->seq += 2;
    assert_false(page_still(&page, &view.connections[0]));
    row->seq = 1;
    look();
    assert_false(page_still(&page, &view.connections[0]));
}

/* ---- while somebody writes ---- */

#define ROUNDS 200000

static uint32_t stop;

static void *write_rows(void *unused)
{
    (void)unused;
    struct page_connection *row = &page.connections[3];
    for (uint64_t i = 1; !__atomic_load_n(&stop, __ATOMIC_RELAXED); i++) {
        uint64_t begun_ns = 1 + i % 26;
        __atomic_fetch_add(&row->seq, 1, __ATOMIC_SEQ_CST);
        __atomic_store_n(&row->state, PAGE_BUSY, __ATOMIC_SEQ_CST);
        __atomic_store_n(&row->request_ns, begun_ns, __ATOMIC_SEQ_CST);
        for (unsigned at = 0; at < PAGE_URI; at++)
            __atomic_store_n(&row->uri[at], (char)('`' + begun_ns), __ATOMIC_RELAXED);
        __atomic_fetch_add(&row->seq, 1, __ATOMIC_SEQ_CST);
        (void)sched_yield();
    }
    return NULL;
}

static void *scribble(void *unused)
{
    (void)unused;
    uint64_t *words = (uint64_t *)(void *)&page, random = 1;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        random = random * 6364136223846793005U + 1442695040888963407U;
        /* Small numbers in both halves too, or no state would be in range; the frame of the page stays. */
        uint64_t small = (random >> 33 & 7) | (random >> 36 & 7) << 32;
        uint64_t value = random >> 63 ? random : small;
        size_t at = sizeof page.about / sizeof *words +
                    (random >> 20) % ((sizeof page - sizeof page.about) / sizeof *words);
        __atomic_store_n(&words[at], value, __ATOMIC_RELAXED);
    }
    return NULL;
}

static pthread_t start(void *(*body)(void *))
{
    pthread_t thread;
    __atomic_store_n(&stop, 0, __ATOMIC_RELAXED);
    assert_int_equal(pthread_create(&thread, NULL, body, NULL), 0);
    return thread;
}

static void finish(pthread_t thread)
{
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void a_string_is_whole_or_unknown(void **state)
{
    (void)state;
    connection(3, PAGE_BUSY, 1);
    pthread_t thread = start(write_rows);
    unsigned whole = 0;
    for (int i = 0; i < ROUNDS || whole == 0; i++) {
        page_read(&page, NOW_NS, &view);
        assert_int_equal(view.connection_count, 1);
        const struct page_view_connection *seen = &view.connections[0];
        char letter = (char)('`' + seen->begun_ns);
        if (seen->uri[0] == '\0')
            continue;
        whole++;
        assert_int_equal(strlen(seen->uri), PAGE_URI);
        for (unsigned at = 0; at < PAGE_URI; at++)
            assert_int_equal(seen->uri[at], letter);
    }
    finish(thread);
}

static void a_page_of_scribble_misleads_nobody(void **state)
{
    (void)state;
    pthread_t thread = start(scribble);
    unsigned seen = 0;
    for (int i = 0; i < ROUNDS / 10 || seen == 0; i++) {
        page_scan(&page, NOW_NS, &scan);
        check_scan(&scan, NOW_NS);
        page_read(&page, NOW_NS, &view);
        check_view(&view, NOW_NS);
        seen += view.connection_count;
    }
    finish(thread);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_empty_page_says_nothing, setup),
        cmocka_unit_test_setup(a_page_of_another_kind_is_not_read, setup),
        cmocka_unit_test_setup(the_report_is_copied, setup),
        cmocka_unit_test_setup(connections_are_counted_by_state, setup),
        cmocka_unit_test_setup(strings_end_though_they_fill_their_room, setup),
        cmocka_unit_test_setup(a_row_that_is_being_written_has_no_strings_and_no_age, setup),
        cmocka_unit_test_setup(times_unknown_or_to_come_are_now, setup),
        cmocka_unit_test_setup(what_cannot_be_is_not_believed, setup),
        cmocka_unit_test_setup(acceptors_that_wait_are_counted, setup),
        cmocka_unit_test_setup(rows_of_the_dead_can_be_left_out, setup),
        cmocka_unit_test_setup(a_connection_that_changed_is_not_the_same, setup),
        cmocka_unit_test_setup(a_string_is_whole_or_unknown, setup),
        cmocka_unit_test_setup(a_page_of_scribble_misleads_nobody, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
