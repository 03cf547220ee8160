/* Draws from distributions, by the numbers of pool/chance.h. */
#ifndef FCGIPOOL_DAEMON_SIMULATE_DRAW_H
#define FCGIPOOL_DAEMON_SIMULATE_DRAW_H

#include <stdint.h>

/* low <= number < high. */
double draw_uniform(uint64_t *chance, double low, double high);

/* Waiting times between events that do not know of each other. */
double draw_exponential(uint64_t *chance, double mean);

/* Pareto's with a shape of 1.5, of which the largest is 500 times the smallest: half of the sum comes from a
 * tenth of the numbers. */
double draw_heavy(uint64_t *chance, double mean);

#endif
