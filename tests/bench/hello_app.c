/* The same for the application host. */
#include "pool/worker/host/fcgipool.h"

static void serve(struct fcgipool_request *request)
{
    fcgipool_header(request, "Content-Type", "text/plain");
    fcgipool_printf(request, "Hello, world\n");
}

FCGIPOOL_APP(.request = serve)
