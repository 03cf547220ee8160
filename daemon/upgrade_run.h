/*
 * Starting the second master of an upgrade (upgrade.h): the program that is on disk now under our name, with
 * our command line, directory and environment, the sockets that both have, and what ties it to us.
 */
#ifndef FCGIPOOL_DAEMON_UPGRADE_RUN_H
#define FCGIPOOL_DAEMON_UPGRADE_RUN_H

#include "daemon/base/problem.h"

#include <jansson.h>

struct master;
struct policy;

/* Fills in `pid`, `link` and `complaints` of the upgrade, and begins to read both. Returns 0, or -errno with
 * the reason: there is no process. */
__attribute__((warn_unused_result)) int upgrade_run(struct master *master, struct problem *problem);

/* The number of workers that is asked for, as {"floor","min","by_hand"}. */
void upgrade_add_floor(json_t *json, const struct policy *policy);

#endif
