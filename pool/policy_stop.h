/*
 * The end of the pool. A graceful stop has new connections refused, keeps the workers up until nothing waits
 * in the queue any more, and retires them then; a quick one aborts them. Either ends within graceful_timeout.
 * A part of the policy.
 */
#ifndef FCGIPOOL_POOL_POLICY_STOP_H
#define FCGIPOOL_POOL_POLICY_STOP_H

#include "pool/policy.h"

/* A graceful stop; where the pool stops already, a quick one. */
void policy_stop(struct policy *policy, int64_t now_ms, struct actions *actions);

void policy_stop_quick(struct policy *policy, int64_t now_ms, struct actions *actions);

/* Nothing waits in the queue any more, or nobody waits for that. While draining. */
void policy_stop_drained(struct policy *policy, int64_t now_ms, struct actions *actions);

#endif
