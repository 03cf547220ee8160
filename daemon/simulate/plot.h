/* Demand, workers and queue over time as a picture, by gnuplot. */
#ifndef FCGIPOOL_DAEMON_SIMULATE_PLOT_H
#define FCGIPOOL_DAEMON_SIMULATE_PLOT_H

#include "daemon/base/problem.h"
#include "daemon/simulate/run.h"

#include <stdbool.h>
#include <stddef.h>

/* True when `file` ends in .svg or .png. */
bool plot_is_known(const char *file);

/* Writes a picture of each outcome, one below the other. Returns 0 or -errno (-ENOENT: there is no gnuplot),
 * and `problem` says why. */
__attribute__((warn_unused_result)) int plot_write(const char *file, const struct run_outcome *outcomes,
                                                   size_t count, struct problem *problem);

#endif
