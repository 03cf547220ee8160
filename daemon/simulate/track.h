/*
 * How demand, workers and queue went over time: of each stretch of time the most that there was. Demand is
 * what is served and what waits.
 */
#ifndef FCGIPOOL_DAEMON_SIMULATE_TRACK_H
#define FCGIPOOL_DAEMON_SIMULATE_TRACK_H

#include <stddef.h>
#include <stdint.h>

#define TRACK_POINTS 1000

struct track_point {
    uint32_t demand, workers, queue;
};

struct track {
    int64_t step_us; /* the length of a stretch */
    size_t count;
    struct track_point points[TRACK_POINTS];
    struct track_point last; /* what there is now */
};

/* Of a time from 0 to `end_us`; what comes later is left out. */
void track_init(struct track *track, int64_t end_us);

/* From `now_us` on there is so much; times never go back. */
void track_note(struct track *track, int64_t now_us, struct track_point point);

#endif
