/* How things went over time; see track.h. */
#include "daemon/simulate/track.h"

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

void track_init(struct track *track, int64_t end_us)
{
    *track = (struct track){.step_us = end_us / TRACK_POINTS + 1};
}

void track_note(struct track *track, int64_t now_us, struct track_point point)
{
    size_t stretch = (size_t)(now_us / track->step_us);
    while (track->count <= stretch && track->count < TRACK_POINTS)
        track->points[track->count++] = track->last;
    track->last = point;
    if (stretch >= TRACK_POINTS)
        return;
    struct track_point *most = &track->points[stretch];
    *most = (struct track_point){.demand = larger(most->demand, point.demand),
                                 .workers = larger(most->workers, point.workers),
                                 .queue = larger(most->queue, point.queue)};
}
