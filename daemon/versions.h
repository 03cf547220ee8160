/*
 * What workers are started from: the control file as it was read for each generation of them that may still
 * have new ones.
 */
#ifndef FCGIPOOL_DAEMON_VERSIONS_H
#define FCGIPOOL_DAEMON_VERSIONS_H

#include "daemon/conf/conf.h"
#include "daemon/template.h"
#include "pool/policy.h"

struct version {
    uint64_t generation;
    const struct conf *conf;
    struct conf *owned;                /* the same, or NULL: it is somebody else's */
    struct template_process *template; /* owned; NULL: none, or not yet */
    int64_t floor;                     /* of workers, when another generation was begun with */
};

struct versions {
    struct version *items; /* owned */
    size_t count;
};

/* Generation 1; `conf` is borrowed. */
void versions_init(struct versions *versions, uint64_t generation, const struct conf *conf);

/* Takes over `conf`. */
void versions_add(struct versions *versions, uint64_t generation, struct conf *conf);

/* Borrowed, until the next versions_add or versions_prune. */
struct version *versions_of(const struct versions *versions, uint64_t generation);

/* Forgets those that `policy` will start no worker of any more, but for `live`. */
void versions_prune(struct versions *versions, const struct policy *policy, const struct conf *live);

void versions_fini(struct versions *versions);

#endif
