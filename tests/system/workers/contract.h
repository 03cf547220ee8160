/*
 * The echo contract that every test worker keeps, so that one client can judge them all:
 *   GET  /any?n=K         status 200, text/plain, K bytes of the pattern
 *   POST /any             status 200, the request body, byte for byte
 *   &delay=MS             waits that long before it answers
 *   &slow=MS              sends the body in four pieces, spread over that time
 * Every answer carries the header X-Pid.
 */
#ifndef TESTS_SYSTEM_CONTRACT_H
#define TESTS_SYSTEM_CONTRACT_H

#include <stdbool.h>
#include <stddef.h>

/* Pieces of a slow body. */
#define CONTRACT_PIECES 4

/* The value of `name` in a query string (NULL is an empty one), or 0 when it is absent. */
long contract_number(const char *query, const char *name);

/* True when `name` stands in the query, with or without a value. */
bool contract_flag(const char *query, const char *name);

/* Fills `buffer` with `size` bytes of the pattern, which begins at its `start`th byte. */
void contract_pattern(char *buffer, size_t start, size_t size);

/* Sleeps, signals or not: a worker that is told to drain still keeps its delay. */
void contract_wait(long ms);

#endif
