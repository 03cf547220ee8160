/*
 * Moving to another address: a generation that is to serve elsewhere (rollout.h) has its workers beside those
 * of the one before, until as many serve as are wanted. Then connections are refused at the address that is
 * left, what waits there is served by those who are there, and they are retired together. So the web server
 * may use both addresses meanwhile, and finds the whole pool at either. Who is at an address that is left is
 * not replaced for any other reason meanwhile, unless it exits.
 *
 * An address that has never had the whole pool, for its generation has failed or another one has taken its
 * place, is left at once; what waits there is served all the same. A part of the policy.
 */
#ifndef FCGIPOOL_POOL_MOVE_H
#define FCGIPOOL_POOL_MOVE_H

#include "pool/policy.h"

/* True when the worker serves, or is about to, at an address that is left; a canary does not. */
bool move_is_apart(const struct policy *policy, const struct slot *slot);

/* How many such are in `state`, STARTING or SERVING. */
int64_t move_count(const struct policy *policy, enum slot_state state);

/* Whether there is an address that is left. */
bool move_is_under_way(const struct policy *policy);

/* Whether workers of `generation` may be started at an address that is left. */
bool move_starts(const struct policy *policy, uint64_t generation);

/* How `place` is left; NULL: it is not. */
const struct departure *move_find(const struct policy *policy, uint64_t place);

/* The address where the whole pool serves, while it does not yet at the one in effect; NULL: there is none.
 */
const struct departure *move_whole(const struct policy *policy);

/* `place` is the address in effect from now on. At the former one workers of `generation` are started where
 * they are needed. */
void move_begin(struct policy *policy, uint64_t place, uint64_t generation);

/* Nobody will come to serve at `place`, which was that of a canary. */
void move_abandon(struct policy *policy, uint64_t place);

/* The worker in `slot`, apart, failed to start or soon after: the next start there has to wait. Who failed to
 * start is not tried again, but one of the generation in effect. */
void move_failed(struct policy *policy, const struct slot *slot, int64_t now_ms);

/* Before other workers are started: those who serve at a former address until it is left. */
void move_balance(struct policy *policy, int64_t now_ms, struct actions *actions);

/* Connections wait at `place`; none does any more. */
void move_waits(struct policy *policy, uint64_t place);
void move_drained(struct policy *policy, uint64_t place, int64_t now_ms, struct actions *actions);

/* Time has passed: connections that wait still are given up. */
void move_expire(struct policy *policy, int64_t now_ms, struct actions *actions);
int64_t move_deadline(const struct policy *policy);

/* What waits may do so for another graceful_timeout, for there was a pause; or for no longer than that. */
void move_extend(struct policy *policy, int64_t now_ms);
void move_limit(struct policy *policy, int64_t now_ms);

/* After every event: whether connections are to be refused now. */
void move_turn(struct policy *policy, int64_t now_ms, struct actions *actions);

#endif
