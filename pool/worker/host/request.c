/* A request; see request.h. These are the functions of fcgipool.h. */
#include "pool/worker/host/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void request_init(struct fcgipool_request *request, const struct lane *lane, char *const *params)
{
    *request = (struct fcgipool_request){.lane = lane, .params = params};
}

void request_fini(struct fcgipool_request *request)
{
    buffer_fini(&request->head);
}

void request_serve(struct fcgipool_request *request, const struct fcgipool_app *app)
{
    app->request(request);
    if (!request->deferred)
        request->finished = true;
}

/* ---- what is asked ---- */

const char *fcgipool_param(const struct fcgipool_request *request, const char *name)
{
    return params_find(request->params, name);
}

char *const *fcgipool_params(const struct fcgipool_request *request)
{
    return request->params;
}

bool fcgipool_is_authorizer(const struct fcgipool_request *request)
{
    return request->is_authorizer;
}

ssize_t fcgipool_read(struct fcgipool_request *request, void *ret_bytes, size_t size)
{
    ssize_t done = request->aborted         ? -ECONNABORTED
                   : request->is_authorizer ? 0
                                            : request->lane->read(request, ret_bytes, size);
    request->body_over = request->body_over || (size > 0 && done <= 0 && done != -EAGAIN);
    return done;
}

long long fcgipool_content_length(const struct fcgipool_request *request)
{
    const char *text = fcgipool_param(request, "CONTENT_LENGTH");
    char *end;
    if (!text || *text < '0' || *text > '9')
        return -1;
    errno = 0;
    long long length = strtoll(text, &end, 10);
    return *end || errno ? -1 : length;
}

/* ---- what is answered ---- */

int fcgipool_status(struct fcgipool_request *request, int status)
{
    if (status < 100 || status > 999)
        return -EINVAL;
    if (request->head_out)
        return -EALREADY;
    request->status = status;
    return 0;
}

static bool is_name(const char *name)
{
    for (const char *at = name; *at; at++)
        if (*at <= ' ' || *at == ':' || *at == 0x7f)
            return false;
    return *name != '\0';
}

int fcgipool_header(struct fcgipool_request *request, const char *name, const char *value)
{
    if (!is_name(name) || value[strcspn(value, "\r\n")])
        return -EINVAL;
    if (request->head_out)
        return -EALREADY;
    buffer_add(&request->head, bytes_of(name));
    buffer_add(&request->head, bytes_of(": "));
    buffer_add(&request->head, bytes_of(value));
    buffer_add(&request->head, bytes_of("\r\n"));
    return 0;
}

/* A response has one header at least (RFC 3875 6.2). */
int request_send_head(struct fcgipool_request *request)
{
    char status[32] = "Status: 200\r\n";
    if (request->head_out)
        return request->aborted ? -ECONNABORTED : 0;
    request->head_out = true;
    if (request->aborted)
        return -ECONNABORTED;
    if (request->status)
        snprintf(status, sizeof status, "Status: %d\r\n", request->status);
    if (request->status || request->head.length == 0) {
        int result = request->lane->write(request, bytes_of(status));
        if (result)
            return result;
    }
    buffer_add(&request->head, bytes_of("\r\n"));
    return request->lane->write(request, buffer_rest(&request->head));
}

int fcgipool_write(struct fcgipool_request *request, const void *bytes, size_t size)
{
    int result = request_send_head(request);
    return result || size == 0 ? result
                               : request->lane->write(request, (struct bytes){(const uint8_t *)bytes, size});
}

/* Formats into `text`, or, what does not fit, onto the heap. The caller frees what is not `text`. */
__attribute__((format(printf, 3, 0))) static char *format_text(char *text, size_t size, const char *format,
                                                               va_list arguments, size_t *ret_length)
{
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(text, size, format, arguments);
    char *result = text;
    if (length >= (int)size) {
        result = (char *)buffer_must(malloc((size_t)length + 1));
        vsnprintf(result, (size_t)length + 1, format, again);
    }
    va_end(again);
    if (length < 0)
        *text = '\0';
    *ret_length = length < 0 ? 0 : (size_t)length;
    return result;
}

int fcgipool_vprintf(struct fcgipool_request *request, const char *format, va_list arguments)
{
    char small[1024];
    size_t length;
    char *text = format_text(small, sizeof small, format, arguments, &length);
    int result = fcgipool_write(request, text, length);
    if (text != small)
        free(text);
    return result;
}

int fcgipool_printf(struct fcgipool_request *request, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int result = fcgipool_vprintf(request, format, arguments);
    va_end(arguments);
    return result;
}

int fcgipool_flush(struct fcgipool_request *request)
{
    int result = request_send_head(request);
    return result ? result : request->lane->flush(request);
}

/* A whole line at a time: to the web server, or, without a request, to the pool's log, where lines of threads
 * are not to be mixed. */
__attribute__((format(printf, 2, 0))) static void complain(struct fcgipool_request *request,
                                                           const char *format, va_list arguments)
{
    char small[1024];
    size_t length;
    char *text = format_text(small, sizeof small, format, arguments, &length);
    if (!request)
        fprintf(stderr, "%s\n", text);
    else if (!request->aborted)
        request->lane->complain(request, (struct bytes){(const uint8_t *)text, length});
    if (text != small)
        free(text);
}

void fcgipool_error(struct fcgipool_request *request, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    complain(request, format, arguments);
    va_end(arguments);
}

void fcgipool_log(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    complain(NULL, format, arguments);
    va_end(arguments);
}

/* ---- later ---- */

void fcgipool_defer(struct fcgipool_request *request)
{
    request->deferred = true;
}

void fcgipool_finish(struct fcgipool_request *request)
{
    request->finished = true;
    request->lane->wants(request);
}

void fcgipool_set_data(struct fcgipool_request *request, void *data)
{
    request->data = data;
}

void *fcgipool_data(const struct fcgipool_request *request)
{
    return request->data;
}

struct ev_loop *fcgipool_loop(const struct fcgipool_request *request)
{
    return post_loop(request->box);
}

void fcgipool_post(struct fcgipool_request *request, fcgipool_callback *callback, void *data)
{
    post_add(request->box, request, callback, data);
}

void fcgipool_on_body(struct fcgipool_request *request, fcgipool_callback *callback, void *data)
{
    request->on_body = (struct request_callback){callback, data};
    request->lane->wants(request);
}

void fcgipool_on_abort(struct fcgipool_request *request, fcgipool_callback *callback, void *data)
{
    request->on_abort = (struct request_callback){callback, data};
}

bool fcgipool_is_aborted(const struct fcgipool_request *request)
{
    return request->aborted;
}

size_t fcgipool_queued(const struct fcgipool_request *request)
{
    return request->lane->queued(request);
}

void fcgipool_on_sent(struct fcgipool_request *request, size_t low, fcgipool_callback *callback, void *data)
{
    request->low = low;
    request->on_sent = (struct request_callback){callback, data};
    request->lane->wants(request);
}

static void call(struct fcgipool_request *request, struct request_callback callback)
{
    if (callback.function)
        callback.function(request, callback.data);
}

static void call_once(struct fcgipool_request *request, struct request_callback *callback)
{
    struct request_callback called = *callback;
    *callback = (struct request_callback){0};
    call(request, called);
}

void request_tell_body(struct fcgipool_request *request)
{
    call(request, request->on_body);
}

void request_tell_sent(struct fcgipool_request *request)
{
    call_once(request, &request->on_sent);
}

void request_abort(struct fcgipool_request *request)
{
    if (request->aborted)
        return;
    request->aborted = true;
    call_once(request, &request->on_abort);
}
