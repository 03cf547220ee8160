/*
 * How many workers the load asks for: up on what is in hand and waits now, down on the most of the past
 * idle_timeout. A part of the policy.
 *
 * Demand is what would keep workers busy: the places that are taken, and as many as the queue needs to be
 * gone by the time when new workers could take from it; one for each that waits if by then nobody took any,
 * for all are kept, or at something longer than usual. Beside them stand spare ones, `spare` of them. "auto"
 * is one beside the demand, for the most of a while has the ups of chance in it already, but none beside a
 * single worker that would soon have company; or if that is more, by square-root staffing beside the demand
 * as it is on average, as many as may well come while a worker starts.
 */
#ifndef FCGIPOOL_POOL_SCALING_H
#define FCGIPOOL_POOL_SCALING_H

#include "pool/load.h"
#include "pool/settings.h"

#include <stdint.h>

#define SCALING_PEAKS 16

struct scaling {
    /* What was asked for, and when it last was; falling, the latest at the end. */
    struct {
        int64_t at_ms;
        uint32_t workers;
    } peaks[SCALING_PEAKS];
    uint32_t peak_count;
    uint32_t start_us;  /* how long workers take to start, smoothed; 0: not known */
    struct load load;   /* the last one */
    uint32_t demand;    /* of it, in workers */
    uint32_t present;   /* the demand at the moment of the look */
    int64_t mean_milli; /* of that over some seconds, times 1000 */
    int64_t seen_ms;
    int64_t moved_ms; /* when the queue last was seen to be empty, or to have moved */
    uint32_t spare;   /* beside them */
};

void scaling_init(struct scaling *scaling);

/* A worker took so long to start. */
void scaling_started(struct scaling *scaling, int64_t ms);

/* From now on for idle_timeout at least so many are asked for. */
void scaling_ask(struct scaling *scaling, uint32_t workers, int64_t now_ms);

void scaling_see(struct scaling *scaling, const struct settings *settings, const struct load *load,
                 int64_t now_ms);

/* Forgets what is older than idle_timeout. */
void scaling_forget(struct scaling *scaling, const struct settings *settings, int64_t now_ms);

/* The workers that are asked for; not cut to any range. */
uint32_t scaling_asked(const struct scaling *scaling, const struct settings *settings);

/* When fewer will be asked for, if nothing else happens; NEVER_MS: not by time. */
int64_t scaling_deadline(const struct scaling *scaling, const struct settings *settings);

#endif
