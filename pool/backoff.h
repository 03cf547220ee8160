/*
 * One backoff a pool: after a failed start, the next one waits; the pause doubles from initial to max with
 * each failure in a row. While there are failures, starts are probes: one at a time.
 */
#ifndef FCGIPOOL_POOL_BACKOFF_H
#define FCGIPOOL_POOL_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

struct settings;

struct backoff {
    int64_t failures; /* in a row */
    int64_t last_ms;  /* when the last of them was */
    int64_t until_ms; /* no start before this time */
    bool accepted;    /* a worker has accepted since the last reset */
};

/* No failure yet: starts are free at any time. */
void backoff_init(struct backoff *backoff);

/* A worker that was started at `spawned_ms` failed at `now_ms`. */
void backoff_failure(struct backoff *backoff, const struct settings *settings, int64_t spawned_ms,
                     int64_t now_ms);

/* A worker accepts. As long as that happens in a row of failures, the program can start: it may have met a
 * bad request, and there may be good ones, so the pause is at most BACKOFF_CRASH_MAX_MS. */
#define BACKOFF_CRASH_MAX_MS 1000
void backoff_accepted(struct backoff *backoff);

/* A worker left at `now_ms` so early that its replacement has to wait, though nothing failed. */
void backoff_hold(struct backoff *backoff, const struct settings *settings, int64_t now_ms);

/* A worker has proved itself: the row of failures has ended. */
void backoff_reset(struct backoff *backoff);

#endif
