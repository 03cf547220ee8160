/*
 * The last lines that tell why workers do not come up: what they wrote, how they died. Kept for the person
 * who waits at `start -d`, whose terminal the log need not reach. Like the log a module with a state of its
 * own: lines come from wherever the log's do.
 */
#ifndef FCGIPOOL_DAEMON_RECENT_H
#define FCGIPOOL_DAEMON_RECENT_H

#include <stddef.h>
#include <stdio.h>

/* So many are kept; longer ones are cut. */
#define RECENT_LINES     20
#define RECENT_LINE_SIZE 512

/* Lines are kept from now on, or no longer, which forgets them, when as many have stopped as have started. */
void recent_start(void);
void recent_stop(void);

/* Another number, above 0, whenever lines begin to be kept: who was there before has nothing to tell. */
unsigned recent_round(void);

/* What is not printable becomes '?'. Does nothing unless started. */
__attribute__((format(printf, 1, 2))) void recent_add(const char *format, ...);

/* Prints them, the oldest first, each after two spaces. */
void recent_print(FILE *stream);

/* The last of them, at most so many, in one line; owned by the caller. */
char *recent_text(size_t lines);

#endif
