/*
 * The input is what a worker has written over its page: laid over it at an offset that the first two bytes
 * give, the frame of the page (magic, version, size) set right unless the third byte says no.
 */
#include "tests/fuzz/fuzz.h"

#define CHECK(x) FUZZ_CHECK(x)
#include "tests/unit/pool/page_invariants.h"

static bool is_even(int32_t pid, void *context)
{
    (void)context;
    return pid % 2 == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct page page;
    static struct page_view view;
    const uint64_t now_ns = UINT64_C(1) << 40;
    struct page_scan scan;

    if (size < 3)
        return 0;
    size_t at = ((size_t)data[0] << 8 | data[1]) % sizeof page;
    size_t length = size - 3 < sizeof page - at ? size - 3 : sizeof page - at;
    memset(&page, 0, sizeof page);
    memcpy((char *)&page + at, data + 3, length);
    if (data[2] % 8 != 0) {
        page.about.magic = PAGE_MAGIC;
        page.about.version = PAGE_VERSION;
        page.about.size = PAGE_BYTES;
    }
    page_scan(&page, now_ns, &scan);
    check_scan(&scan, now_ns);
    page_read(&page, now_ns, &view);
    check_view(&view, now_ns);
    check_same(&scan, &view.scan);
    for (uint32_t i = 0; i < view.connection_count; i++)
        FUZZ_CHECK(page_still(&page, &view.connections[i]) == (view.connections[i].seq % 2 == 0));
    page_view_filter(&view, is_even, NULL);
    check_view(&view, now_ns);
    return 0;
}
