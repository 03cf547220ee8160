/* The echo contract as an application (fcgipool.h), the same file in every class. Besides:
 *   &stall=MS     the thread itself waits, and does not turn its loop
 *   &hang         is never answered
 *   &thread       the answer comes by way of another thread
 * The environment: ECHO_APP_START=N has start fail with N; ECHO_APP_EVENTS names a file to which begin, end
 * and aborts are written. */
#include "contract.h"

#include "pool/worker/host/fcgipool.h"

#include <ev.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct answer {
    struct fcgipool_request *request;
    char *body;
    size_t size;
    size_t piece; /* the next */
    long slow_ms;
    ev_timer timer;
};

static void note(const char *text)
{
    const char *path = getenv("ECHO_APP_EVENTS");
    int fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666) : -1;
    if (fd < 0)
        return;
    dprintf(fd, "%s\n", text);
    close(fd);
}

static int start(void)
{
    const char *fails = getenv("ECHO_APP_START");
    note("start");
    return fails ? atoi(fails) : 0;
}

static void stop(void)
{
    note("stop");
}

static const char *query_of(const struct fcgipool_request *request)
{
    const char *query = fcgipool_param(request, "QUERY_STRING");
    return query ? query : "";
}

static void read_body(struct answer *answer)
{
    long long length = fcgipool_content_length(answer->request);
    size_t room = length > 0 ? (size_t)length : 0;
    answer->body = malloc(room + 1);
    while (answer->size < room) {
        ssize_t got = fcgipool_read(answer->request, answer->body + answer->size, room - answer->size);
        if (got <= 0)
            break;
        answer->size += (size_t)got;
    }
}

static void make_body(struct answer *answer)
{
    const char *method = fcgipool_param(answer->request, "REQUEST_METHOD");
    if (method && strcmp(method, "POST") == 0) {
        read_body(answer);
        return;
    }
    answer->size = (size_t)contract_number(query_of(answer->request), "n");
    answer->body = malloc(answer->size + 1);
    contract_pattern(answer->body, 0, answer->size);
}

static void end(struct answer *answer)
{
    struct fcgipool_request *request = answer->request;
    free(answer->body);
    free(answer);
    fcgipool_finish(request);
}

static void write_pieces(struct answer *answer)
{
    while (answer->piece < CONTRACT_PIECES) {
        size_t first = answer->size * answer->piece / CONTRACT_PIECES;
        size_t last = answer->size * ++answer->piece / CONTRACT_PIECES;
        if (fcgipool_write(answer->request, answer->body + first, last - first) < 0)
            break;
        if (!answer->slow_ms)
            continue;
        fcgipool_flush(answer->request);
        ev_timer_set(&answer->timer, (double)answer->slow_ms / CONTRACT_PIECES / 1000.0, 0.0);
        ev_timer_start(fcgipool_loop(answer->request), &answer->timer);
        return;
    }
    end(answer);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    write_pieces(timer->data);
}

static void on_abort(struct fcgipool_request *request, void *data)
{
    struct answer *answer = data;
    note("abort");
    ev_timer_stop(fcgipool_loop(request), &answer->timer);
    end(answer);
}

static void on_post(struct fcgipool_request *request, void *data)
{
    (void)request;
    write_pieces(data);
}

static void *run_thread(void *data)
{
    struct answer *answer = data;
    contract_wait(5);
    fcgipool_post(answer->request, on_post, answer);
    return NULL;
}

static void start_thread(struct answer *answer)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, run_thread, answer) != 0)
        abort();
    pthread_detach(thread);
}

static void serve(struct fcgipool_request *request)
{
    const char *query = query_of(request);
    struct answer *answer = calloc(1, sizeof *answer);
    char pid[16];
    if (!answer)
        abort();
    answer->request = request;
    answer->slow_ms = contract_number(query, "slow");
    make_body(answer);
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    fcgipool_header(request, "Content-Type", "text/plain");
    fcgipool_header(request, "X-Pid", pid);
    fcgipool_set_data(request, answer);
    contract_wait(contract_number(query, "stall"));
    fcgipool_defer(request);
    ev_timer_init(&answer->timer, on_timer, (double)contract_number(query, "delay") / 1000.0, 0.0);
    answer->timer.data = answer;
    if (contract_flag(query, "thread")) {
        start_thread(answer);
        return;
    }
    fcgipool_on_abort(request, on_abort, answer);
    if (contract_flag(query, "hang"))
        return;
    if (contract_number(query, "delay"))
        ev_timer_start(fcgipool_loop(request), &answer->timer);
    else
        write_pieces(answer);
}

FCGIPOOL_APP(.start = start, .request = serve, .stop = stop)
