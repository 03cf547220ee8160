/*
 * When the load is more than the pool may have workers for: how long, for how many requests, in how many
 * episodes. An episode lasts until there has been none for a while. A part of the policy.
 */
#ifndef FCGIPOOL_POOL_SATURATION_H
#define FCGIPOOL_POOL_SATURATION_H

#include "pool/stats.h"

#include <stdbool.h>
#include <stdint.h>

#define SATURATION_REST_MS 1000

struct saturation {
    bool over;         /* at the last look; once is no episode */
    bool lasts;        /* an episode does */
    int64_t seen_ms;   /* the last look */
    int64_t over_ms;   /* the last look that found it over */
    uint64_t requests; /* begun until the last look */
};

void saturation_init(struct saturation *saturation);

/* A look, which may begin an episode; `requests` were begun so far. */
void saturation_see(struct saturation *saturation, struct stats *stats, bool over, uint64_t requests,
                    int64_t now_ms);

/* Ends the episode when it is over. */
void saturation_pass(struct saturation *saturation, int64_t now_ms);

/* When it will be over, if nothing else happens; NEVER_MS: not by time. */
int64_t saturation_deadline(const struct saturation *saturation);

#endif
