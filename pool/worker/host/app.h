/* The application: loading it, and the begin and end of its worker. */
#ifndef FCGIPOOL_POOL_WORKER_HOST_APP_H
#define FCGIPOOL_POOL_WORKER_HOST_APP_H

#include "pool/worker/host/fcgipool.h"

/* Loads the shared object at `path`. NULL: it cannot be, and why was printed. */
const struct fcgipool_app *app_load(const char *path);

/* Calls `load`. Returns whether it has succeeded; if not, that was printed. */
bool app_prepare(const struct fcgipool_app *app);

/* Calls `start`. Returns whether the worker can serve; if not, that was printed. */
bool app_start(const struct fcgipool_app *app);

void app_stop(const struct fcgipool_app *app);

#endif
