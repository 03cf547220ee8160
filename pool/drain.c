/* Leading a worker out; see drain.h. */
#include "pool/drain.h"

static bool has_connection(const struct page_scan *page)
{
    return page->numbers[PAGE_CONNECTED] || page->numbers[PAGE_BUSY] || page->numbers[PAGE_FINISHING] ||
           page->numbers[PAGE_KEPT] || page->overflow;
}

static enum drain_seen seen(const struct page_scan *page)
{
    return has_connection(page) ? DRAIN_SEEN_AT_WORK : page->waiting ? DRAIN_SEEN_WAITING : DRAIN_SEEN_QUIET;
}

static enum drain_step give_up(struct drain *drain)
{
    drain->given_up = true;
    return DRAIN_GIVE_UP;
}

static enum drain_step end(struct drain *drain, int64_t now_ms)
{
    drain->ended = true;
    drain->since_ms = now_ms;
    return DRAIN_END;
}

/* It has nothing in hand and waits for nothing, as far as the page tells. */
static enum drain_step look_at_quiet(struct drain *drain, const struct page_scan *page, int64_t now_ms)
{
    int64_t quiet_ms = now_ms - drain->since_ms;
    bool nested = page->flags & PAGE_NESTED;
    /* One of whom it does not tell may take a connection this moment. */
    if (page->unlisted)
        return quiet_ms >= DRAIN_PATIENCE_MS ? give_up(drain) : DRAIN_WAIT;
    /* Then it still works, after its answer. It will come to accept. */
    if (!page->drained)
        return DRAIN_WAIT;
    if (!drain->ended && quiet_ms >= (nested ? DRAIN_NESTED_MS : DRAIN_PATIENCE_MS))
        return end(drain, now_ms);
    return drain->ended && quiet_ms >= DRAIN_PATIENCE_MS ? give_up(drain) : DRAIN_WAIT;
}

enum drain_step drain_look(struct drain *drain, const struct page_scan *page, int64_t now_ms)
{
    if (drain->given_up)
        return DRAIN_GIVE_UP;
    if (drain->since_ms == 0 || drain->seen != seen(page))
        drain->since_ms = now_ms;
    drain->seen = seen(page);
    if (drain->seen == DRAIN_SEEN_AT_WORK)
        return page->waiting || page->numbers[PAGE_KEPT] ? DRAIN_WAKE : DRAIN_WAIT;
    if (drain->seen == DRAIN_SEEN_WAITING)
        return now_ms - drain->since_ms < DRAIN_PATIENCE_MS ? DRAIN_WAKE : give_up(drain);
    return look_at_quiet(drain, page, now_ms);
}
