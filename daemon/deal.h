/*
 * What a worker has of its own among the workers of a pool: values out of lists (`assign`), a processor
 * (`cpu_affinity`), and its slot wherever arguments (but not the program) and environment say "${slot}".
 * Lists and processors are dealt by the worker's number (pool/number.h).
 */
#ifndef FCGIPOOL_DAEMON_DEAL_H
#define FCGIPOOL_DAEMON_DEAL_H

#include "daemon/conf/conf.h"

#include <sched.h>
#include <stdint.h>

struct deal {
    char **argv; /* owned, as is the next, with those strings in it that are not the control file's */
    char **envp;
    cpu_set_t processor;
    const cpu_set_t *processors; /* NULL: as ours */

    /* private */
    char **made;
    size_t made_count;
};

/* Whether anything of `conf` is dealt by number. */
bool deal_is_numbered(const struct conf *conf);

/* For the worker in `slot`; its strings are borrowed from `conf` for the most part. */
void deal_init(struct deal *deal, const struct conf *conf, uint32_t slot, uint32_t number);

/* Accepts {0}. */
void deal_fini(struct deal *deal);

#endif
