/*
 * reload_on_change: files whose replacement reloads the pool. They are looked at once a second, by the path
 * as it leads then: a link on the way that is turned elsewhere counts, which the kernel would tell nobody of.
 * A file that is being written is let come to rest first, and one that is gone is waited for.
 */
#ifndef FCGIPOOL_DAEMON_CHANGES_H
#define FCGIPOOL_DAEMON_CHANGES_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

struct master;

struct changes {
    ev_timer timer;
    struct watched_file *files; /* owned */
    size_t count;
};

void changes_init(struct master *master);

/* From now on, the files that the settings in effect name; what they are like now is nothing new. */
void changes_start(struct master *master);

/* The settings in effect may name others now; those that stay are looked at on. */
void changes_follow(struct master *master);

void changes_stop(struct master *master);

#endif
