/* The number of workers: starts who is missing, retires who is too many or has a successor. A part of the
 * policy.
 */
#ifndef FCGIPOOL_POOL_POLICY_BALANCE_H
#define FCGIPOOL_POOL_POLICY_BALANCE_H

#include "pool/policy.h"

void policy_balance(struct policy *policy, int64_t now_ms, struct actions *actions);

/* When the backoff lets go on with those who are missing; NEVER_MS: it is not the backoff they wait for. */
int64_t policy_balance_deadline(const struct policy *policy);

#endif
