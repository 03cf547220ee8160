/*
 * What workers are started from: the control file as it was read for each generation of them that may still
 * have new ones.
 */
#ifndef FCGIPOOL_DAEMON_VERSIONS_H
#define FCGIPOOL_DAEMON_VERSIONS_H

#include "daemon/conf/conf.h"
#include "pool/policy.h"

struct version {
    uint64_t generation;
    struct conf *conf;
};

struct versions {
    const struct conf *first; /* of generation 1; borrowed */
    struct version *items;    /* the others; owned, and their conf */
    size_t count;
};

/* Takes over `conf`. */
void versions_add(struct versions *versions, uint64_t generation, struct conf *conf);

/* Borrowed, until the next versions_prune. */
const struct conf *versions_of(const struct versions *versions, uint64_t generation);

/* Frees those that `policy` will start no worker of any more. */
void versions_prune(struct versions *versions, const struct policy *policy);

void versions_fini(struct versions *versions);

#endif
