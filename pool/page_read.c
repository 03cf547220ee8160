/* A safe copy of a page; see page_read.h. */
#include "pool/page_read.h"

#include "pool/assert.h"

#include <string.h>

/* A row that changes more often than this while it is read changes without end. */
#define TRIES 4

#define WORD sizeof(uint64_t)

/* What a scan needs of a row, and all of it. */
#define ROW_HEAD_WORDS (offsetof(struct page_connection, method) / WORD)
#define ROW_WORDS      (sizeof(struct page_connection) / WORD)

_Static_assert(offsetof(struct page_connection, method) % WORD == 0, "the head of a row is whole words");
_Static_assert(sizeof(struct page_connection) % WORD == 0, "so is a row");

#define LOAD(word) __atomic_load_n(&(word), __ATOMIC_ACQUIRE)

static uint64_t count_of(uint64_t count)
{
    return count < PAGE_COUNT_MAX ? count : PAGE_COUNT_MAX;
}

static uint32_t number_of(uint32_t number)
{
    return number < PAGE_NUMBER_MAX ? number : PAGE_NUMBER_MAX;
}

/* Also of a thread. */
static int32_t pid_of(int32_t pid)
{
    return pid > 0 ? pid : 0;
}

static bool is_used(uint32_t state)
{
    return state > PAGE_FREE && state < PAGE_STATES;
}

/* ---- connections ---- */

/* The first words of a row. By words, for a string may be rewritten under our eyes. */
static void copy_words(const struct page_connection *row, size_t words, struct page_connection *ret_row)
{
    typedef uint64_t __attribute__((may_alias)) word;
    const word *from = (const word *)row;
    word *to = (word *)ret_row;
    for (size_t i = 0; i < words; i++)
        to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

/* Returns whether the words belong together; their state is what it is at any rate. */
static bool copy_row(const struct page_connection *row, size_t words, struct page_connection *ret_row)
{
    for (int i = 0; i < TRIES; i++) {
        uint32_t seq = LOAD(row->seq);
        copy_words(row, words, ret_row);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (seq % 2 == 0 && __atomic_load_n(&row->seq, __ATOMIC_RELAXED) == seq)
            return true;
    }
    return false;
}

/* Since when a row is in its state. Who does not know cannot say that it is long ago. */
static uint64_t begun_of(const struct page_connection *row, bool known, uint64_t now_ns)
{
    uint64_t begun_ns = row->state == PAGE_BUSY ? row->request_ns : row->since_ns;
    return known && begun_ns != 0 && begun_ns < now_ns ? begun_ns : now_ns;
}

static void tally(struct page_scan *scan, uint32_t state, uint64_t begun_ns)
{
    scan->numbers[state]++;
    if (begun_ns < scan->oldest_ns[state])
        scan->oldest_ns[state] = begun_ns;
}

static void tally_nobody(struct page_scan *scan)
{
    scan->acceptors = scan->waiting = 0;
    for (unsigned state = 0; state < PAGE_STATES; state++) {
        scan->numbers[state] = 0;
        scan->oldest_ns[state] = UINT64_MAX;
    }
}

/* ---- short ---- */

static bool is_valid(const struct page *page)
{
    return LOAD(page->about.magic) == PAGE_MAGIC && LOAD(page->about.version) == PAGE_VERSION &&
           LOAD(page->about.size) == PAGE_BYTES;
}

uint64_t page_requests(const struct page *page)
{
    return is_valid(page) ? count_of(LOAD(page->report.requests)) : 0;
}

static void read_report(const struct page *page, uint64_t now_ns, struct page_scan *scan)
{
    uint64_t accepted_ns = LOAD(page->report.accepted_ns), beat_ns = LOAD(page->report.beat_ns);
    *scan = (struct page_scan){.valid = is_valid(page)};
    tally_nobody(scan);
    if (!scan->valid)
        return;
    scan->attached_pid = pid_of(LOAD(page->report.attached_pid));
    scan->accepted_pid = pid_of(LOAD(page->report.accepted_pid));
    scan->accepted_ns = accepted_ns < now_ns ? accepted_ns : now_ns;
    scan->requests = count_of(LOAD(page->report.requests));
    scan->overflow = number_of(LOAD(page->report.overflow));
    scan->unlisted = number_of(LOAD(page->report.unlisted));
    scan->drained = number_of(LOAD(page->report.drained));
    scan->flags = LOAD(page->report.flags) & (PAGE_NESTED | PAGE_ENDS_OVERDUE);
    scan->beat_ns = beat_ns < now_ns ? beat_ns : now_ns;
}

void page_scan(const struct page *page, uint64_t now_ns, struct page_scan *ret_scan)
{
    struct page_connection row;
    read_report(page, now_ns, ret_scan);
    if (!ret_scan->valid)
        return;
    for (unsigned i = 0; i < PAGE_ACCEPTORS; i++) {
        bool used = LOAD(page->acceptors[i].pid) > 0;
        ret_scan->acceptors += used;
        ret_scan->waiting += used && LOAD(page->acceptors[i].waiting) != 0;
    }
    for (unsigned i = 0; i < PAGE_CONNECTIONS; i++) {
        if (LOAD(page->connections[i].state) == PAGE_FREE)
            continue;
        bool known = copy_row(&page->connections[i], ROW_HEAD_WORDS, &row);
        if (is_used(row.state))
            tally(ret_scan, row.state, begun_of(&row, known, now_ns));
    }
}

/* ---- everything ---- */

/* Cuts at a NUL, or at `size` bytes. */
static void take_text(const char *text, size_t size, char *ret_text)
{
    size_t length = strnlen(text, size);
    memcpy(ret_text, text, length);
    ret_text[length] = '\0';
}

static void take_connection(const struct page *page, unsigned row, uint64_t now_ns, struct page_view *view)
{
    struct page_connection copy;
    struct page_view_connection *connection = &view->connections[view->connection_count];
    if (LOAD(page->connections[row].state) == PAGE_FREE)
        return;
    bool known = copy_row(&page->connections[row], ROW_WORDS, &copy);
    if (!is_used(copy.state))
        return;
    *connection = (struct page_view_connection){
        .row = row,
        .seq = copy.seq,
        .state = (enum page_state)copy.state,
        .pid = pid_of(copy.pid),
        .tid = known ? pid_of(copy.tid) : 0,
        .fd = copy.fd >= 0 ? copy.fd : -1,
        .requests = copy.requests,
        .begun_ns = begun_of(&copy, known, now_ns),
    };
    if (known) {
        take_text(copy.method, sizeof copy.method, connection->method);
        take_text(copy.uri, sizeof copy.uri, connection->uri);
    }
    view->connection_count++;
}

static void take_acceptor(const struct page_acceptor *row, struct page_view *view)
{
    int32_t pid = LOAD(row->pid);
    if (pid > 0)
        view->acceptors[view->acceptor_count++] = (struct page_view_acceptor){
            .pid = pid, .tid = pid_of(LOAD(row->tid)), .waiting = LOAD(row->waiting) != 0};
}

static void count_rows(struct page_view *view)
{
    tally_nobody(&view->scan);
    view->scan.acceptors = view->acceptor_count;
    for (unsigned i = 0; i < view->acceptor_count; i++)
        view->scan.waiting += view->acceptors[i].waiting;
    for (unsigned i = 0; i < view->connection_count; i++)
        tally(&view->scan, view->connections[i].state, view->connections[i].begun_ns);
}

void page_read(const struct page *page, uint64_t now_ns, struct page_view *ret_view)
{
    *ret_view = (struct page_view){0};
    read_report(page, now_ns, &ret_view->scan);
    if (!ret_view->scan.valid)
        return;
    for (unsigned i = 0; i < PAGE_ACCEPTORS; i++)
        take_acceptor(&page->acceptors[i], ret_view);
    for (unsigned i = 0; i < PAGE_CONNECTIONS; i++)
        take_connection(page, i, now_ns, ret_view);
    page_service(page, &ret_view->service);
    count_rows(ret_view);
}

void page_service(const struct page *page, struct latency *ret_service)
{
    for (unsigned i = 0; i < PAGE_BUCKETS; i++)
        ret_service->buckets[i] = count_of(__atomic_load_n(&page->service[i], __ATOMIC_RELAXED));
}

void page_view_filter(struct page_view *view, page_lives_fn *lives, void *context)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < view->acceptor_count; i++)
        if (lives(view->acceptors[i].pid, context))
            view->acceptors[kept++] = view->acceptors[i];
    view->acceptor_count = kept;
    kept = 0;
    for (uint32_t i = 0; i < view->connection_count; i++)
        if (lives(view->connections[i].pid, context))
            view->connections[kept++] = view->connections[i];
    view->connection_count = kept;
    count_rows(view);
}

const struct page_view_connection *page_view_oldest(const struct page_view *view, unsigned states)
{
    const struct page_view_connection *oldest = NULL;
    for (uint32_t i = 0; i < view->connection_count; i++) {
        const struct page_view_connection *connection = &view->connections[i];
        if ((states & PAGE_IN(connection->state)) != 0 &&
            (oldest == NULL || connection->begun_ns < oldest->begun_ns))
            oldest = connection;
    }
    return oldest;
}

bool page_still(const struct page *page, const struct page_view_connection *connection)
{
    ASSERT(connection->row < PAGE_CONNECTIONS);
    const struct page_connection *row = &page->connections[connection->row];
    return connection->seq % 2 == 0 && LOAD(row->state) == (uint32_t)connection->state &&
           LOAD(row->seq) == connection->seq;
}
