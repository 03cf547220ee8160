/* Executes the policy's actions: one function an action, nothing decided here. */
#ifndef FCGIPOOL_DAEMON_ACT_H
#define FCGIPOOL_DAEMON_ACT_H

#include "pool/action.h"

struct master;

/* A start that fails becomes a SPAWN_FAILED event in the master's queue; the others cannot fail. */
void act(struct master *master, const struct action *action);

#endif
