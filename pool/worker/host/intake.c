/* The thread that accepts; see intake.h. */
#include "pool/worker/host/intake.h"

#include "pool/worker/host/patience.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* It ends a wait in accept, and means nothing else here. */
#define NUDGE_SIGNAL  SIGUSR2
#define NUDGE_SECONDS 0.01

static void on_nudge_signal(int number)
{
    (void)number;
}

/* ---- in the thread ---- */

/* Waits for a place. Returns false when the loop does not want any more. */
static bool take_place(struct intake *intake)
{
    pthread_mutex_lock(&intake->lock);
    while (!intake->stops && (intake->places == 0 || intake->queued == INTAKE_QUEUE))
        pthread_cond_wait(&intake->room, &intake->lock);
    bool wanted = !intake->stops;
    intake->places -= wanted;
    pthread_mutex_unlock(&intake->lock);
    return wanted;
}

static void give_back(struct intake *intake)
{
    pthread_mutex_lock(&intake->lock);
    intake->places++;
    pthread_mutex_unlock(&intake->lock);
}

static void hand_over(struct intake *intake, int fd)
{
    pthread_mutex_lock(&intake->lock);
    intake->queue[intake->queued++] = fd;
    pthread_mutex_unlock(&intake->lock);
    ev_async_send(intake->loop, &intake->bell);
}

static void *run(void *data)
{
    struct intake *intake = data;
    bool goes_on = true;
    while (goes_on && take_place(intake)) {
        int fd = accept4(0, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            hand_over(intake, fd);
        } else {
            goes_on = patience_has(errno);
            give_back(intake);
        }
    }
    pthread_mutex_lock(&intake->lock);
    intake->ended = true;
    pthread_mutex_unlock(&intake->lock);
    ev_async_send(intake->loop, &intake->bell);
    return NULL;
}

/* ---- in the loop ---- */

static bool empty(struct intake *intake, int *ret_fds, unsigned *ret_count)
{
    pthread_mutex_lock(&intake->lock);
    memcpy(ret_fds, intake->queue, intake->queued * sizeof *ret_fds);
    *ret_count = intake->queued;
    intake->queued = 0;
    bool ended = intake->ended;
    pthread_cond_signal(&intake->room);
    pthread_mutex_unlock(&intake->lock);
    return ended;
}

static void on_bell(struct ev_loop *loop, ev_async *bell, int events)
{
    struct intake *intake = bell->data;
    int fds[INTAKE_QUEUE];
    unsigned count;
    (void)events;
    bool ended = empty(intake, fds, &count);
    for (unsigned i = 0; i < count; i++)
        intake->take(intake, fds[i]);
    if (!ended || intake->told)
        return;
    intake->told = true;
    ev_timer_stop(loop, &intake->nudge);
    intake->end(intake);
}

/* Again and again, for it may have been about to wait. */
static void on_nudge(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct intake *intake = timer->data;
    (void)loop, (void)events;
    (void)pthread_kill(intake->thread, NUDGE_SIGNAL);
}

/* Signals that are meant for the process are the loop's. What the library wakes it with must come through. */
static int create(struct intake *intake)
{
    struct sigaction nudge = {.sa_handler = on_nudge_signal};
    sigset_t all, before;
    sigaction(NUDGE_SIGNAL, &nudge, NULL);
    sigfillset(&all);
    sigdelset(&all, NUDGE_SIGNAL);
    sigdelset(&all, SIGURG);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&intake->thread, NULL, run, intake);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

int intake_start(struct intake *intake, struct ev_loop *loop, unsigned places)
{
    intake->loop = loop;
    intake->places = places;
    pthread_mutex_init(&intake->lock, NULL);
    pthread_cond_init(&intake->room, NULL);
    ev_async_init(&intake->bell, on_bell);
    ev_timer_init(&intake->nudge, on_nudge, 0.0, NUDGE_SECONDS);
    intake->bell.data = intake->nudge.data = intake;
    ev_async_start(loop, &intake->bell);
    return create(intake);
}

void intake_release(struct intake *intake)
{
    pthread_mutex_lock(&intake->lock);
    intake->places++;
    pthread_cond_signal(&intake->room);
    pthread_mutex_unlock(&intake->lock);
}

void intake_stop(struct intake *intake)
{
    pthread_mutex_lock(&intake->lock);
    intake->stops = true;
    pthread_cond_signal(&intake->room);
    pthread_mutex_unlock(&intake->lock);
    if (!intake->told)
        ev_timer_start(intake->loop, &intake->nudge);
}

void intake_join(struct intake *intake)
{
    pthread_join(intake->thread, NULL);
    ev_async_stop(intake->loop, &intake->bell);
    ev_timer_stop(intake->loop, &intake->nudge);
    pthread_cond_destroy(&intake->room);
    pthread_mutex_destroy(&intake->lock);
}
