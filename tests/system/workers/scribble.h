/* A worker that overwrites what it shares with the master. */
#ifndef TESTS_SYSTEM_SCRIBBLE_H
#define TESTS_SYSTEM_SCRIBBLE_H

#include <stdbool.h>

/* From now on a thread overwrites the worker's page, or the pool's, that many times a second: all of it or a
 * few bytes, with random bytes or with extreme ones. For each hundred times it adds a byte to the file
 * "scribbled". Where no page is mapped it goes on looking for one. Returns false when it cannot be started.
 */
bool scribble_start(bool pool, long times_a_second);

#endif
