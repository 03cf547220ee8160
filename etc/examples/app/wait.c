/*
 * An application that answers after as many milliseconds as the query says (?ms=500), without keeping a
 * thread waiting meanwhile: the control file says by how many workers, and whether by an event loop or by
 * threads. cc -shared -fPIC $(pkg-config --cflags fcgipool) -o wait.so wait.c -lev
 */
#include <fcgipool.h>

#include <ev.h>
#include <stdlib.h>
#include <string.h>

/* The body is there by then, in memory or in a file. */
static unsigned long long body_size(struct fcgipool_request *request)
{
    char buffer[16384];
    unsigned long long size = 0;
    for (ssize_t got; (got = fcgipool_read(request, buffer, sizeof buffer)) > 0;)
        size += (unsigned long long)got;
    return size;
}

static void answer(struct fcgipool_request *request)
{
    ev_timer *timer = fcgipool_data(request);
    const char *method = fcgipool_param(request, "REQUEST_METHOD");
    const char *uri = fcgipool_param(request, "REQUEST_URI");
    fcgipool_header(request, "Content-Type", "text/plain");
    fcgipool_printf(request, "%s %s\nA body of %llu bytes came, and %.0f ms have passed.\n",
                    method ? method : "", uri ? uri : "", body_size(request), timer->repeat * 1000.0);
    free(timer);
    fcgipool_finish(request);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)events;
    ev_timer_stop(loop, timer);
    answer(timer->data);
}

/* The client has gone: there is nothing to wait for any more, but the request is to be finished. */
static void on_abort(struct fcgipool_request *request, void *data)
{
    ev_timer_stop(fcgipool_loop(request), data);
    answer(request);
}

static void serve(struct fcgipool_request *request)
{
    const char *query = fcgipool_param(request, "QUERY_STRING");
    const char *ms = query ? strstr(query, "ms=") : NULL;
    double seconds = ms ? strtod(ms + 3, NULL) / 1000.0 : 0.1;
    ev_timer *timer = malloc(sizeof *timer);
    if (!timer || !(seconds >= 0.001 && seconds <= 60.0)) {
        fcgipool_status(request, timer ? 400 : 500);
        free(timer);
        return;
    }
    ev_timer_init(timer, on_timer, seconds, seconds);
    timer->data = request;
    fcgipool_set_data(request, timer);
    fcgipool_on_abort(request, on_abort, timer);
    fcgipool_defer(request);
    ev_timer_start(fcgipool_loop(request), timer);
}

FCGIPOOL_APP(.request = serve)
