/* The thread that waits for workers; see wakeup.h. */
#include "daemon/wakeup.h"

#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_NS   10000000
#define STACK_SIZE 65536

static void *wait_for_workers(void *argument)
{
    struct wakeup *wakeup = argument;
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    uint32_t seen = 0; /* of a page that was made a moment ago */
    while (!__atomic_load_n(&wakeup->stopping, __ATOMIC_SEQ_CST)) {
        uint32_t now = __atomic_load_n(&wakeup->pool->wake, __ATOMIC_SEQ_CST);
        if (now == seen) {
            (void)syscall(SYS_futex, &wakeup->pool->wake, FUTEX_WAIT, seen, NULL, NULL, 0);
            continue;
        }
        seen = now;
        ev_async_send(wakeup->loop, &wakeup->arrived);
        (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

/* Signals are for the loop's thread. */
static int start_thread(struct wakeup *wakeup)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&wakeup->thread, &attributes, wait_for_workers, wakeup);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return -error;
}

int wakeup_start(struct wakeup *wakeup, struct page_pool *pool, struct ev_loop *loop,
                 void (*callback)(struct ev_loop *, ev_async *, int), void *data)
{
    *wakeup = (struct wakeup){.loop = loop, .pool = pool};
    ev_async_init(&wakeup->arrived, callback);
    wakeup->arrived.data = data;
    ev_async_start(loop, &wakeup->arrived);
    int result = start_thread(wakeup);
    if (result) {
        ev_async_stop(loop, &wakeup->arrived);
        wakeup->pool = NULL;
    }
    return result;
}

void wakeup_stop(struct wakeup *wakeup)
{
    if (!wakeup->pool)
        return;
    const struct timespec moment = {.tv_nsec = 1000000};
    __atomic_store_n(&wakeup->stopping, true, __ATOMIC_SEQ_CST);
    /* Again and again, for a worker could put the old number back. */
    do {
        (void)__atomic_add_fetch(&wakeup->pool->wake, 1, __ATOMIC_SEQ_CST);
        (void)syscall(SYS_futex, &wakeup->pool->wake, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    } while (pthread_tryjoin_np(wakeup->thread, NULL) != 0 && nanosleep(&moment, NULL) <= 0);
    ev_async_stop(wakeup->loop, &wakeup->arrived);
    wakeup->pool = NULL;
}
