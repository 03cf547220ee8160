/*
 * How many workers are wanted: the floor, that of the settings or set by hand, and in a dynamic pool what the
 * load asks for, up to workers.max. A part of the policy.
 */
#ifndef FCGIPOOL_POOL_POLICY_WANT_H
#define FCGIPOOL_POOL_POLICY_WANT_H

#include "pool/policy.h"

/* The first number. */
void policy_want_start(struct policy *policy, int64_t now_ms);

/* Sets the floor, cut to policy_scale_range, unless the pool stops; or, with the floor as it is, takes new
 * settings into account. */
void policy_want(struct policy *policy, int64_t floor, int64_t now_ms, struct actions *actions);

/* Takes a look at the load. */
void policy_want_load(struct policy *policy, const struct load *load, int64_t now_ms,
                      struct actions *actions);

/* Time has passed. */
void policy_want_pass(struct policy *policy, int64_t now_ms, struct actions *actions);

/* When time will change something; NEVER_MS: never. */
int64_t policy_want_deadline(const struct policy *policy);

#endif
