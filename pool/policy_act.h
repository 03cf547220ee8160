/* What the policy does, to one worker for the most part: the slot's next state, and the action for the shell.
 * A part of the policy. */
#ifndef FCGIPOOL_POOL_POLICY_ACT_H
#define FCGIPOOL_POOL_POLICY_ACT_H

#include "pool/policy.h"

/* As slot_move; nobody else changes the state of a slot, or why it is due. */
void policy_move(struct policy *policy, struct slot *slot, enum slot_step step, int64_t deadline_ms);
void policy_mark(struct policy *policy, struct slot *slot, enum reason due);

/* An action about the pool; and its state's change. */
void policy_act(enum action_type type, uint32_t number, enum reason reason, struct actions *actions);
void policy_enter(struct policy *policy, enum pool_state state, struct actions *actions);

/* A worker of a generation for an empty slot, to accept at `place`. */
void policy_spawn(struct policy *policy, struct slot *slot, uint64_t generation, uint64_t place,
                  enum reason reason, int64_t now_ms, struct actions *actions);

/* The one way out for a worker that we no longer want: scale-down, recycling, pause and stop alike. */
void policy_retire(struct policy *policy, struct slot *slot, enum reason reason, int64_t now_ms,
                   struct actions *actions);

/* SIGABRT now, SIGKILL at `deadline_ms`. */
void policy_abort(struct policy *policy, struct slot *slot, enum reason reason, int64_t deadline_ms,
                  struct actions *actions);

void policy_kill(struct policy *policy, struct slot *slot, enum reason reason, int64_t now_ms,
                 struct actions *actions);

#endif
