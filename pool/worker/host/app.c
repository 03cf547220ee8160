/* The application; see app.h. */
#include "pool/worker/host/app.h"

#include <dlfcn.h>
#include <stdio.h>

const struct fcgipool_app *app_load(const char *path)
{
    /* Of all its symbols now: a missing one is to be found before a request comes. */
    static void *object; /* for good */
    object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!object) {
        fprintf(stderr, "the application cannot be loaded: %s\n", dlerror());
        return NULL;
    }
    const struct fcgipool_app *app = (const struct fcgipool_app *)dlsym(object, "fcgipool_app");
    if (!app)
        fprintf(stderr, "the application cannot be loaded: %s: no FCGIPOOL_APP(...) is in it\n", path);
    else if (app->api != FCGIPOOL_API)
        fprintf(
            stderr,
            "the application cannot be loaded: %s: it was built for version %d of fcgipool.h, this is %d\n",
            path, app->api, FCGIPOOL_API);
    else if (!app->request)
        fprintf(stderr, "the application cannot be loaded: %s: FCGIPOOL_APP(...) has no .request\n", path);
    else
        return app;
    return NULL;
}

/* Both are optional. */
static bool call(int (*function)(void), const char *complaint)
{
    int result = function ? function() : 0;
    if (result)
        fprintf(stderr, "the application %s function has returned %d\n", complaint, result);
    return result == 0;
}

bool app_prepare(const struct fcgipool_app *app)
{
    return call(app->load, "cannot be loaded: its load");
}

bool app_start(const struct fcgipool_app *app)
{
    return call(app->start, "could not start: its start");
}

void app_stop(const struct fcgipool_app *app)
{
    if (app->stop)
        app->stop();
}
