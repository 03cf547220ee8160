/*
 * fcgipool.h: an application as a shared object, served by fcgipool over FastCGI or SCGI, one request at a
 * time, in threads, or thousands at a time in an event loop: what "worker_class" in the control file says,
 * without a change to the application.
 *
 *     #include <fcgipool.h>
 *
 *     static void serve(struct fcgipool_request *request)
 *     {
 *         fcgipool_header(request, "Content-Type", "text/plain");
 *         fcgipool_printf(request, "Hello, %s\n", fcgipool_param(request, "REMOTE_ADDR"));
 *     }
 *
 *     FCGIPOOL_APP(.request = serve)
 *
 *     cc -shared -fPIC $(pkg-config --cflags fcgipool) -o app.so app.c
 *     {"listen": "unix:/run/app.sock", "app": "./app.so", "worker_class": "async"}
 *
 * Threads. A request belongs to the thread in which `request` was called with it: all functions below that
 * take it are to be called there, but for fcgipool_post, which any thread may call. In the classes "sync" and
 * "async" that is the one thread of the worker; with "threads", `request` runs in several at a time, and
 * `start` and `stop` in the first one, before and after them.
 *
 * Lifetimes. A request lives until it is finished: when `request` returns, or, after fcgipool_defer, when
 * fcgipool_finish is called. Texts that these functions return live as long as it does. What is passed to
 * them is copied.
 *
 * Errors. A number below 0 is -errno.
 */
#ifndef FCGIPOOL_H
#define FCGIPOOL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this interface. A host serves applications of its own version only. */
#define FCGIPOOL_API 1

struct ev_loop;
struct fcgipool_request;

/* ---- the application ---- */

struct fcgipool_app {
    int api; /* FCGIPOOL_API */

    /* A worker begins: opens what all requests need. NULL: nothing. Returns 0, or another number: the worker
     * cannot serve, and exits with code 3 (the pool tries again, with growing pauses; a reload is rolled
     * back). */
    int (*start)(void);

    /* A request has come: all its parameters are there, and its body, unless `streams` is set. Required. */
    void (*request)(struct fcgipool_request *request);

    /* The worker ends: no request is in hand any more. NULL: nothing. */
    void (*stop)(void);

    /* `request` is called as soon as the parameters are there; the body is read as it comes (fcgipool_read,
     * fcgipool_on_body). Else the host collects it first where waiting for it would hold others up: in
     * memory, and from 64 KiB on in an unlinked file in TMPDIR. */
    bool streams;

    /* Before everything else: what all workers can have in common, as a table that is read only. With
     * "preload_app" it is called once for many workers, in a process that they are forked from, so that they
     * share that memory (threads are not forked along, and connections had better not be: they belong into
     * `start`); else in each worker. NULL: nothing. Returns 0, or another number: exit code 4, as for a
     * shared object that cannot be loaded. */
    int (*load)(void);
};

/* Defines the application, the one symbol that the host looks for. */
#ifdef __cplusplus
#    define FCGIPOOL_APP_SYMBOL                                                                              \
        extern "C" __attribute__((visibility("default"))) const struct fcgipool_app fcgipool_app
#else
#    define FCGIPOOL_APP_SYMBOL __attribute__((visibility("default"))) const struct fcgipool_app fcgipool_app
#endif
#define FCGIPOOL_APP(...) FCGIPOOL_APP_SYMBOL = {.api = FCGIPOOL_API, __VA_ARGS__};

/* ---- what is asked ---- */

/* A parameter (CGI: RFC 3875 4.1, and what the web server adds), NULL where there is none. Of several of one
 * name the last counts. Null bytes are not passed on faithfully. */
const char *fcgipool_param(const struct fcgipool_request *request, const char *name);

/* All parameters, "NAME=value" each, NULL at the end, as in environ. */
char *const *fcgipool_params(const struct fcgipool_request *request);

/* FastCGI: the web server asks whether the request is allowed (specification 6.3), not for an answer. It is,
 * when the status is 200; headers "Variable-NAME" become parameters of the request itself. There is no body.
 */
bool fcgipool_is_authorizer(const struct fcgipool_request *request);

/* Reads the next of the body. Returns how many bytes, 0 at its end, -ECONNABORTED when the client has gone,
 * or, with `streams` and in the class "async", -EAGAIN when nothing is there yet; in the other classes it
 * waits. */
ssize_t fcgipool_read(struct fcgipool_request *request, void *ret_bytes, size_t size);

/* How long the body is by CONTENT_LENGTH; -1: not said. */
long long fcgipool_content_length(const struct fcgipool_request *request);

/* ---- what is answered ---- */

/* Before the first byte of the body. Without a status the answer is 200, with a header "Location" 302.
 * Returns 0, -EINVAL (no status from 100 to 999; a name that is empty or has a colon, space or control
 * character in it, or a value with a line break), or -EALREADY: the headers are out. */
int fcgipool_status(struct fcgipool_request *request, int status);
int fcgipool_header(struct fcgipool_request *request, const char *name, const char *value);

/* The next of the answer's body; what is not sent at once is kept in memory (fcgipool_queued). Returns 0, or
 * -ECONNABORTED: nobody will read it. In the classes "sync" and "threads" it waits while the client is slow.
 */
int fcgipool_write(struct fcgipool_request *request, const void *bytes, size_t size);
__attribute__((format(printf, 2, 3))) int fcgipool_printf(struct fcgipool_request *request,
                                                          const char *format, ...);
__attribute__((format(printf, 2, 0))) int fcgipool_vprintf(struct fcgipool_request *request,
                                                           const char *format, va_list arguments);

/* Sends what was written so far, headers included, instead of waiting until there is more. Returns as
 * fcgipool_write. */
int fcgipool_flush(struct fcgipool_request *request);

/* A line for the web server's error log (FastCGI: STDERR); over SCGI, which has no such thing, for the
 * pool's. */
__attribute__((format(printf, 2, 3))) void fcgipool_error(struct fcgipool_request *request,
                                                          const char *format, ...);

/* A line for the pool's log. At any time, from any thread. */
__attribute__((format(printf, 1, 2))) void fcgipool_log(const char *format, ...);

/* ---- later ---- */

/* The answer is not complete when `request` returns, but when fcgipool_finish is called: from a callback of
 * the loop, or of one of the functions below. */
void fcgipool_defer(struct fcgipool_request *request);
void fcgipool_finish(struct fcgipool_request *request);

/* What an application keeps with a request; NULL at first. */
void fcgipool_set_data(struct fcgipool_request *request, void *data);
void *fcgipool_data(const struct fcgipool_request *request);

/* The libev loop in which the request lives: to start watchers that answer it later. It turns while a request
 * is deferred: with "async" it is the worker's one loop, with the other classes one of the thread's own. */
struct ev_loop *fcgipool_loop(const struct fcgipool_request *request);

typedef void fcgipool_callback(struct fcgipool_request *request, void *data);

/* Calls `callback` once, in the request's thread, as soon as its loop turns: the way back from another
 * thread. The request must be deferred, and not yet finished. */
void fcgipool_post(struct fcgipool_request *request, fcgipool_callback *callback, void *data);

/* With `streams`: `callback` is called while there is more of the body than was read, and at its end until
 * that was read (fcgipool_read has returned 0). NULL: no more. */
void fcgipool_on_body(struct fcgipool_request *request, fcgipool_callback *callback, void *data);

/* Called when the web server gives the request up, or it is older than the pool's `timeout`. What is written
 * from then on goes nowhere, and fcgipool_finish is due all the same. In the classes "sync" and "threads"
 * it is not called: there what fcgipool_write returns tells. It may come late where more of the body is on
 * its way than the application has read (`streams`), for then the connection is not read either. NULL: nobody
 * is to be told. */
void fcgipool_on_abort(struct fcgipool_request *request, fcgipool_callback *callback, void *data);
bool fcgipool_is_aborted(const struct fcgipool_request *request);

/* Bytes of the answer that are written and not yet sent; and `callback`, once, when there are no more than
 * `low`. Who produces more than memory should hold writes on only then. */
size_t fcgipool_queued(const struct fcgipool_request *request);
void fcgipool_on_sent(struct fcgipool_request *request, size_t low, fcgipool_callback *callback, void *data);

#ifdef __cplusplus
}
#endif

#endif
