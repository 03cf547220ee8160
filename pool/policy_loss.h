/*
 * Workers that do not come up, and those that have ended: what is counted, and what it means for the starts
 * to come (backoff.h), for a generation on trial (rollout.h), and at an address that is left (move.h). A part
 * of the policy.
 */
#ifndef FCGIPOOL_POOL_POLICY_LOSS_H
#define FCGIPOOL_POOL_POLICY_LOSS_H

#include "pool/policy.h"

/* The worker in `slot` does not come up; its slot is left to the caller. `reason`: why, if it was a canary.
 */
void policy_start_failed(struct policy *policy, const struct slot *slot, enum reason reason, int64_t now_ms,
                         struct actions *actions);

/* The worker in `slot` has ended, whether it was told to or not; empties the slot. */
void policy_exited(struct policy *policy, struct slot *slot, enum exit_cause cause, int64_t now_ms,
                   struct actions *actions);

#endif
