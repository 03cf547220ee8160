/* An application that sends a body back while it comes (`streams`), and never keeps more of it than it must.
 * With ?late it begins to read only then. */
#include "contract.h"

#include "pool/worker/host/fcgipool.h"

#include <errno.h>

#define PIECE 65536

static void go_on(struct fcgipool_request *request, void *data)
{
    char piece[PIECE];
    ssize_t got;
    (void)data;
    fcgipool_on_body(request, NULL, NULL);
    while ((got = fcgipool_read(request, piece, sizeof piece)) > 0) {
        if (fcgipool_write(request, piece, (size_t)got) < 0)
            break;
        if (fcgipool_queued(request) > PIECE) {
            fcgipool_on_sent(request, 0, go_on, NULL);
            return;
        }
    }
    if (got == -EAGAIN)
        fcgipool_on_body(request, go_on, NULL);
    else
        fcgipool_finish(request);
}

static void serve(struct fcgipool_request *request)
{
    fcgipool_header(request, "Content-Type", "text/plain");
    fcgipool_header(request, "X-Pid", "0");
    fcgipool_defer(request);
    go_on(request, NULL);
}

FCGIPOOL_APP(.request = serve, .streams = true)
