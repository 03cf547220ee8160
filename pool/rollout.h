/*
 * A new generation of workers, as of a new version of the control file. One worker of it, the canary, is
 * started beside the others; while it has not accepted, all else goes on with the generation before. When it
 * accepts, new workers are of its generation, and all others are due to be replaced. When workers of the new
 * generation fail to start until the pool is failing, or the canary does, the one before is in effect again.
 * Where it serves at another address, the others are not replaced one by one: see move.h. A part of the
 * policy.
 */
#ifndef FCGIPOOL_POOL_ROLLOUT_H
#define FCGIPOOL_POOL_ROLLOUT_H

#include "pool/policy.h"

/* Begins with a new generation, which serves at `place`; a canary of one before has to go. In a pause, when
 * there is nothing to compare with, it is in effect at once. */
void rollout_begin(struct policy *policy, uint64_t place, int64_t now_ms, struct actions *actions);

/* True when the worker in `slot` is the canary. */
bool rollout_is_canary(const struct policy *policy, const struct slot *slot);

/* True when it starts; otherwise, while there is a candidate, it has to be started. */
bool rollout_has_canary(const struct policy *policy);

/* The canary accepts, or has served. */
void rollout_proved(struct policy *policy, int64_t now_ms, struct actions *actions);

/* The canary is on its way out, for `reason`. */
void rollout_failed(struct policy *policy, enum reason reason, struct actions *actions);

/* The trial, if there is one, ends for `reason`, and the canary has to go. */
void rollout_cancel(struct policy *policy, enum reason reason, int64_t now_ms, struct actions *actions);

/* GENERATION when a worker that serves, or is about to, at the address in effect is not of the generation in
 * effect, nor the canary. */
enum reason rollout_due(const struct policy *policy, const struct slot *slot);

/* After every event: back, if the new generation fails. */
void rollout_turn(struct policy *policy, int64_t now_ms, struct actions *actions);

/* When the number of workers was seen to: the end, if all that serve are of the new generation, and nobody is
 * left at another address. */
void rollout_end(struct policy *policy, struct actions *actions);

#endif
