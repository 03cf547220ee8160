/* Threads that wait; see blocking.h. */
#include "pool/worker/host/blocking.h"

#include <errno.h>
#include <fcgiapp.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

/* How often is looked whether threads that do not end serve. */
#define JOIN_NS 10000000

struct lane_thread {
    const struct fcgipool_app *app;
    bool scgi;
};

/* ---- SIGTERM ---- */

/* It comes to a worker that nobody sees into, when all of its threads wait in accept. libfcgi's own handler
 * ends the wait of one of them only. */
static volatile sig_atomic_t terminated;
static unsigned serving;

static void on_term(int number)
{
    (void)number;
    terminated = 1;
    FCGX_ShutdownPending();
}

static void begin_fcgi(void)
{
    struct sigaction term = {.sa_handler = on_term};
    sigaction(SIGTERM, &term, NULL);
    FCGX_Init();
}

/* ---- one request ---- */

size_t blocking_queued(const struct fcgipool_request *request)
{
    (void)request;
    return 0;
}

void blocking_wants(struct fcgipool_request *request)
{
    (void)request;
}

/* What an application may wait for is there already: reading and writing wait by themselves. */
static bool tell(struct fcgipool_request *request)
{
    if (request->on_sent.function)
        request_tell_sent(request);
    else if (request->on_body.function && !request->body_over)
        request_tell_body(request);
    else
        return false;
    return true;
}

void blocking_serve(struct fcgipool_request *request, const struct fcgipool_app *app, struct post_box *box)
{
    request->box = box;
    __atomic_add_fetch(&serving, 1, __ATOMIC_SEQ_CST);
    ev_now_update(box->loop); /* it has not turned for long: timers count from now */
    request_serve(request, app);
    while (!request->finished)
        ev_run(box->loop, tell(request) ? EVRUN_NOWAIT : EVRUN_ONCE);
    if (!request->aborted)
        (void)request_send_head(request);
}

bool blocking_is_over(void)
{
    return terminated;
}

void blocking_served(void)
{
    __atomic_sub_fetch(&serving, 1, __ATOMIC_SEQ_CST);
}

/* ---- threads ---- */

static void *run(void *data)
{
    const struct lane_thread *thread = data;
    struct ev_loop *loop = (struct ev_loop *)buffer_must(ev_loop_new(EVFLAG_AUTO));
    struct post_box box;
    post_open(&box, loop);
    if (thread->scgi)
        blocking_scgi(thread->app, &box);
    else
        blocking_fcgi(thread->app, &box);
    post_close(&box);
    ev_loop_destroy(loop);
    return NULL;
}

/* Signals are for the first thread; but for the one by which the library wakes them. */
static int start(pthread_t *ret_thread, struct lane_thread *thread)
{
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGURG);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(ret_thread, NULL, run, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

/* Returns whether they have ended; if not, they wait in accept, and may be left there. */
static bool join(pthread_t *threads, int count)
{
    for (int i = 0; i < count;) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += JOIN_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        if (pthread_timedjoin_np(threads[i], NULL, &until) == 0)
            i++;
        else if (terminated && __atomic_load_n(&serving, __ATOMIC_SEQ_CST) == 0)
            return false;
    }
    return true;
}

void blocking_run(const struct fcgipool_app *app, const struct options *options)
{
    int others = options->worker_class == OPTIONS_THREADS ? options->threads - 1 : 0, started = 0;
    struct lane_thread thread = {.app = app, .scgi = options->scgi};
    pthread_t *threads = (pthread_t *)buffer_must(calloc((size_t)others + 1, sizeof *threads));
    if (!options->scgi)
        begin_fcgi();
    for (int error = 0; started < others && error == 0; started += error == 0) {
        error = start(&threads[started], &thread);
        if (error)
            fcgipool_log("only %d of %d threads: %s", started + 1, others + 1, strerror(error));
    }
    run(&thread);
    if (join(threads, started))
        free(threads);
}
