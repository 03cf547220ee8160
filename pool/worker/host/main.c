/*
 * The application host: a worker of a pool whose control file has "app" instead of "command". It loads the
 * application (fcgipool.h) and serves it in the class that the control file names. To the pool it is a worker
 * like any other, and the library that sees into workers sees into it.
 */
#include "pool/host.h"
#include "pool/worker/host/app.h"
#include "pool/worker/host/async.h"
#include "pool/worker/host/blocking.h"
#include "pool/worker/host/template.h"

#include <signal.h>

#define EXIT_USAGE 64

int main(int argc, char **argv)
{
    struct options options;
    if (!options_parse(argc, argv, &options))
        return EXIT_USAGE;
    if (options.template_socket >= 0)
        template_init(options.template_socket);
    const struct fcgipool_app *app = app_load(options.app);
    if (!app)
        return HOST_EXIT_LOAD;
    signal(SIGPIPE, SIG_IGN); /* a write tells */
    if (!app_prepare(app))
        return HOST_EXIT_LOAD;
    if (options.template_socket >= 0)
        template_serve(options.template_socket);
    if (!app_start(app))
        return HOST_EXIT_BOOT;
    bool served = true;
    if (options.worker_class == OPTIONS_ASYNC)
        served = async_run(app, &options);
    else
        blocking_run(app, &options);
    signal(SIGTERM, SIG_IGN); /* it ends by itself by now */
    app_stop(app);
    return served ? 0 : HOST_EXIT_BOOT;
}
