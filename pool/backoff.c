/* Pause between failed starts; see backoff.h. */
#include "pool/backoff.h"

#include "pool/settings.h"

static int64_t min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t pause_after(int64_t failures, int64_t initial_ms, int64_t max_ms)
{
    int64_t pause_ms = initial_ms;
    for (int64_t i = 1; i < failures && pause_ms < max_ms; i++)
        pause_ms *= 2;
    return min(pause_ms, max_ms);
}

static void wait_until(struct backoff *backoff, int64_t until_ms)
{
    if (backoff->until_ms < until_ms)
        backoff->until_ms = until_ms;
}

void backoff_init(struct backoff *backoff)
{
    *backoff = (struct backoff){.last_ms = INT64_MIN, .until_ms = INT64_MIN};
}

void backoff_failure(struct backoff *backoff, const struct settings *settings, int64_t spawned_ms,
                     int64_t now_ms)
{
    int64_t max_ms = settings->backoff_max_ms;
    if (spawned_ms <= backoff->last_ms)
        return;
    if (backoff->accepted)
        max_ms = min(max_ms, BACKOFF_CRASH_MAX_MS);
    backoff->failures++;
    backoff->last_ms = now_ms;
    wait_until(backoff, now_ms + pause_after(backoff->failures, settings->backoff_initial_ms, max_ms));
}

void backoff_accepted(struct backoff *backoff)
{
    backoff->accepted = true;
}

void backoff_hold(struct backoff *backoff, const struct settings *settings, int64_t now_ms)
{
    wait_until(backoff, now_ms + pause_after(1, settings->backoff_initial_ms, settings->backoff_max_ms));
}

void backoff_reset(struct backoff *backoff)
{
    backoff->failures = 0;
    backoff->accepted = false;
}
