/*
 * How a retiring worker that tells of itself is led out, step by step: it gives up the listener by itself,
 * and is never sent a signal that could reach a request. Pure; the shell does what drain_look says.
 */
#ifndef FCGIPOOL_POOL_DRAIN_H
#define FCGIPOOL_POOL_DRAIN_H

#include "pool/page_read.h"

#include <stdbool.h>
#include <stdint.h>

/* A worker that was told, is free and should have left is helped after this time. */
#define DRAIN_PATIENCE_MS 1000
/* The same for a pre-forking one, whose leader does not leave by itself: long enough for a process that was
 * just accepting to show what it has accepted. */
#define DRAIN_NESTED_MS 100

enum drain_step {
    DRAIN_WAIT,   /* nothing to do */
    DRAIN_WAKE,   /* PAGE_DRAIN_SIGNAL to who waits, by the page's rows: what they wait for is not to come */
    DRAIN_END,    /* SIGTERM to the group: it has given up the listener and has nothing in hand */
    DRAIN_GIVE_UP /* it does not do as it was told: look at it from outside, from now on */
};

enum drain_seen {
    DRAIN_SEEN_AT_WORK, /* it has a connection, kept ones included */
    DRAIN_SEEN_WAITING, /* it has none, and waits for one */
    DRAIN_SEEN_QUIET,   /* neither */
};

/* Begins as {0}. */
struct drain {
    enum drain_seen seen; /* at the last look, and without a change since */
    int64_t since_ms;     /* 0: not looked at */
    bool ended;           /* SIGTERM was sent */
    bool given_up;
};

/* The next step, by what the page shows after its `drain` was set. */
enum drain_step drain_look(struct drain *drain, const struct page_scan *page, int64_t now_ms);

#endif
