/*
 * Who is to be replaced, and how many at a time: workers at max_requests, max_memory or max_lifetime, and
 * those that have a request older than `timeout` beside others, and former generations. A worker that is due
 * serves on until its successor accepts; max_recycling counts both, from the start of the one to the end of
 * the other. A part of the policy.
 */
#ifndef FCGIPOOL_POOL_RECYCLE_H
#define FCGIPOOL_POOL_RECYCLE_H

#include "pool/policy.h"

/* Draws the shares of jitter for a new worker. */
void recycle_draw(struct policy *policy, struct slot *slot);

/* When time makes `slot` due, or ends its patience with a request; NEVER_MS: never. */
int64_t recycle_deadline(const struct policy *policy, const struct slot *slot);

/* True when the worker becomes due now, for it is too old. */
bool recycle_is_old(const struct policy *policy, const struct slot *slot, int64_t now_ms);

/* True when a request has been overdue for so long that the others in the worker are not waited for. */
bool recycle_is_hung(const struct policy *policy, const struct slot *slot, int64_t now_ms);

/* False when, by new settings, the limit for which the worker is due does not hold any more. */
bool recycle_is_still_due(const struct policy *policy, const struct slot *slot, int64_t now_ms);

/* How many of a pool of `workers` may be under replacement at a time; at least 1. */
int64_t recycle_limit(const struct settings *settings, int64_t workers);

/* Workers that were replaced and are not gone yet. */
int64_t recycle_leaving(const struct policy *policy);

/* How many successors there may be now, a canary included; may be negative when max_recycling was lowered. */
int64_t recycle_room(const struct policy *policy);

/* How many successors of workers that are due are to run now, beside the workers that are wanted, unless the
 * pool is paused. */
int64_t recycle_successors(const struct policy *policy);

/* Where numbers matter (number.h) and are out of order with all at rest, as after a worker that had not yet
 * served was taken back: who has one too high is to be replaced. */
void recycle_order(struct policy *policy);

/* The serving worker whose turn it is to be replaced, the oldest of those that are due, but where numbers
 * matter first the one whose number its successor has; NULL: none. */
struct slot *recycle_next(const struct policy *policy);

/* Marks the worker as replaced; it is retired for that. */
void recycle_count(struct policy *policy, struct slot *slot);

#endif
