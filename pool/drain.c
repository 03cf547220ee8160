/* Leading a worker out; see drain.h. */
#include "pool/drain.h"

static bool has_connection(const struct page_scan *page)
{
    return page->numbers[PAGE_CONNECTED] || page->numbers[PAGE_BUSY] || page->numbers[PAGE_FINISHING] ||
           page->numbers[PAGE_KEPT] || page->overflow;
}

static enum drain_step give_up(struct drain *drain)
{
    drain->given_up = true;
    return DRAIN_GIVE_UP;
}

static enum drain_step end(struct drain *drain, int64_t now_ms)
{
    drain->ended = true;
    drain->free_since_ms = now_ms;
    return DRAIN_END;
}

enum drain_step drain_look(struct drain *drain, const struct page_scan *page, int64_t now_ms)
{
    if (drain->given_up)
        return DRAIN_GIVE_UP;
    if (has_connection(page)) {
        drain->free_since_ms = 0;
        return page->waiting || page->numbers[PAGE_KEPT] ? DRAIN_WAKE : DRAIN_WAIT;
    }
    if (drain->free_since_ms == 0)
        drain->free_since_ms = now_ms;
    bool patient = now_ms - drain->free_since_ms < DRAIN_PATIENCE_MS;
    if (page->waiting)
        return patient ? DRAIN_WAKE : give_up(drain);
    /* Neither a connection, nor waiting for one: it still works, after its answer. It will come to accept. */
    if (!page->drained)
        return DRAIN_WAIT;
    /* The leader of a pre-forking worker would only fork again. */
    if (!drain->ended && ((page->flags & PAGE_NESTED) || !patient))
        return end(drain, now_ms);
    return patient ? DRAIN_WAIT : give_up(drain);
}
