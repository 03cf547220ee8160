/* FastCGI by libfcgi, for a thread that waits; see blocking.h. */
#include "pool/worker/host/blocking.h"

#include "pool/worker/host/patience.h"

#include <errno.h>
#include <fcgiapp.h>
#include <limits.h>

struct exchange {
    struct fcgipool_request request;
    FCGX_Request fcgx;
};

static FCGX_Request *fcgx_of(struct fcgipool_request *request)
{
    return &((struct exchange *)request)->fcgx;
}

static int limited(size_t size)
{
    return size < INT_MAX ? (int)size : INT_MAX;
}

/* What is there: more than that FCGX_GetStr would wait for. */
static ssize_t read_body(struct fcgipool_request *request, void *ret_bytes, size_t size)
{
    FCGX_Stream *in = fcgx_of(request)->in;
    if (size == 0)
        return 0;
    int first = FCGX_GetChar(in);
    if (first < 0)
        return FCGX_GetError(in) ? -ECONNABORTED : 0;
    size_t rest = (size_t)(in->stop - in->rdNext);
    *(char *)ret_bytes = (char)first;
    return 1 + FCGX_GetStr((char *)ret_bytes + 1, limited(size - 1 < rest ? size - 1 : rest), in);
}

static int write_answer(struct fcgipool_request *request, struct bytes bytes)
{
    FCGX_Stream *out = fcgx_of(request)->out;
    while (bytes.length > 0) {
        struct bytes piece = bytes_take(&bytes, INT_MAX);
        if (FCGX_PutStr((const char *)piece.data, (int)piece.length, out) < 0) {
            request->aborted = true;
            return -ECONNABORTED;
        }
    }
    return 0;
}

static int flush(struct fcgipool_request *request)
{
    if (FCGX_FFlush(fcgx_of(request)->out) == 0)
        return 0;
    request->aborted = true;
    return -ECONNABORTED;
}

static void complain(struct fcgipool_request *request, struct bytes line)
{
    FCGX_Stream *err = fcgx_of(request)->err;
    (void)FCGX_PutStr((const char *)line.data, limited(line.length), err);
    (void)FCGX_PutChar('\n', err);
}

static const struct lane lane = {
    .read = read_body,
    .write = write_answer,
    .flush = flush,
    .complain = complain,
    .queued = blocking_queued,
    .wants = blocking_wants,
};

/* `result`: -errno, or a number of libfcgi's own. */
static bool goes_on(int result)
{
    return -result < EHWPOISON && patience_has(-result) && !blocking_is_over();
}

void blocking_fcgi(const struct fcgipool_app *app, struct post_box *box)
{
    struct exchange exchange;
    if (FCGX_InitRequest(&exchange.fcgx, 0, 0) != 0)
        return;
    for (int result; (result = FCGX_Accept_r(&exchange.fcgx)) >= 0 || goes_on(result);) {
        if (result < 0)
            continue;
        const char *role = FCGX_GetParam("FCGI_ROLE", exchange.fcgx.envp);
        request_init(&exchange.request, &lane, exchange.fcgx.envp);
        exchange.request.is_authorizer = role && strcmp(role, "AUTHORIZER") == 0;
        blocking_serve(&exchange.request, app, box);
        request_fini(&exchange.request);
        FCGX_Finish_r(&exchange.fcgx);
        blocking_served();
    }
    FCGX_Free(&exchange.fcgx, 1);
}
