/* The protocol of sd_notify; see notify.h. */
#include "daemon/notify.h"

#include "daemon/base/clock.h"
#include "daemon/base/log.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    DUE_READY = 1,
    DUE_STOPPING = 2,
    DUE_STATUS = 4,
    DUE_WATCHDOG = 8,
    DUE_RELOADING = 16,
    DUE_MAINPID = 32,
};

#define RETRY_SECONDS 0.1
/* A limit that nobody means must not keep the master busy. */
#define WATCHDOG_MIN_US 2000

/* ---- the environment ---- */

static void take_address(struct notify *notify, const char *name)
{
    size_t length = name ? strlen(name) : 0;
    if (length == 0)
        return;
    if ((name[0] != '/' && name[0] != '@') || length < 2 || length >= sizeof notify->address.sun_path) {
        log_warning("NOTIFY_SOCKET \"%s\" is neither a path nor an abstract name: it is not used", name);
        return;
    }
    notify->address.sun_family = AF_UNIX;
    memcpy(notify->address.sun_path, name, length);
    if (name[0] == '@')
        notify->address.sun_path[0] = '\0';
    notify->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

static void take_watchdog(struct notify *notify, const char *limit_us, const char *pid)
{
    char *end;
    if (!limit_us || (pid && strtoll(pid, NULL, 10) != getpid()))
        return;
    errno = 0;
    unsigned long long us = strtoull(limit_us, &end, 10);
    if (errno == 0 && *end == '\0' && us > 0)
        notify->watchdog_s = (double)(us > WATCHDOG_MIN_US ? us : WATCHDOG_MIN_US) / 2e6;
}

void notify_take(struct notify *ret_notify)
{
    *ret_notify = (struct notify){.fd = -1};
    take_address(ret_notify, getenv("NOTIFY_SOCKET"));
    take_watchdog(ret_notify, getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"));
}

/* ---- datagrams ---- */

static size_t compose(const struct notify *notify, char *ret_text, size_t size)
{
    int length = 0;
    if (notify->due & DUE_READY)
        length = snprintf(ret_text, size, "READY=1\n");
    if (notify->due & (DUE_READY | DUE_MAINPID))
        length += snprintf(ret_text + length, size - (size_t)length, "MAINPID=%ld\n",
                           (long)(notify->main_pid ? notify->main_pid : getpid()));
    if (notify->due & DUE_RELOADING)
        length += snprintf(ret_text + length, size - (size_t)length, "RELOADING=1\nMONOTONIC_USEC=%lld\n",
                           (long long)notify->reloading_us);
    if (notify->due & DUE_STOPPING)
        length += snprintf(ret_text + length, size - (size_t)length, "STOPPING=1\n");
    if (notify->due & DUE_WATCHDOG)
        length += snprintf(ret_text + length, size - (size_t)length, "WATCHDOG=1\n");
    if (notify->due & DUE_STATUS)
        length += snprintf(ret_text + length, size - (size_t)length, "STATUS=%s\n", notify->status);
    return (size_t)length;
}

/* All that is due goes into one datagram. */
static void send_due(struct notify *notify)
{
    char text[NOTIFY_STATUS_SIZE + 128];
    size_t length = compose(notify, text, sizeof text);
    ssize_t sent = sendto(notify->fd, text, length, MSG_NOSIGNAL | MSG_DONTWAIT,
                          (const struct sockaddr *)&notify->address, notify->length);
    if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == EINTR)) {
        ev_timer_start(notify->loop, &notify->retry);
        return;
    }
    if (sent < 0)
        notify->status[0] = '\0'; /* not said */
    if (sent < 0 && (notify->due & DUE_READY))
        log_warning("NOTIFY_SOCKET does not take that the pool is ready: %s", strerror(errno));
    notify->due = 0;
    ev_timer_stop(notify->loop, &notify->retry);
}

static void tell(struct notify *notify, unsigned what)
{
    if (!notify_is_on(notify))
        return;
    notify->due |= what;
    send_due(notify);
}

static void on_retry(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    send_due(timer->data);
}

static void on_watchdog(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    tell(timer->data, DUE_WATCHDOG);
}

/* ---- life ---- */

void notify_start(struct notify *notify, struct ev_loop *loop)
{
    if (!notify->length)
        return;
    notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (notify->fd < 0) {
        log_warning("NOTIFY_SOCKET is not used: %s", strerror(errno));
        return;
    }
    notify->loop = loop;
    ev_timer_init(&notify->retry, on_retry, RETRY_SECONDS, RETRY_SECONDS);
    ev_timer_init(&notify->watchdog, on_watchdog, notify->watchdog_s, notify->watchdog_s);
    notify->retry.data = notify->watchdog.data = notify;
    if (notify->watchdog_s > 0.0)
        ev_timer_start(loop, &notify->watchdog);
}

void notify_stop(struct notify *notify)
{
    if (!notify_is_on(notify))
        return;
    if (notify->due)
        send_due(notify);
    ev_timer_stop(notify->loop, &notify->retry);
    ev_timer_stop(notify->loop, &notify->watchdog);
    close(notify->fd);
    notify->loop = NULL;
}

bool notify_is_on(const struct notify *notify)
{
    return notify->loop != NULL;
}

void notify_ready(struct notify *notify)
{
    notify->due &= ~(unsigned)DUE_RELOADING;
    tell(notify, DUE_READY);
}

void notify_reloading(struct notify *notify)
{
    notify->due &= ~(unsigned)DUE_READY;
    notify->reloading_us = clock_now_ns() / 1000;
    tell(notify, DUE_RELOADING);
}

void notify_stopping(struct notify *notify)
{
    tell(notify, DUE_STOPPING);
}

void notify_mainpid(struct notify *notify, pid_t pid)
{
    notify->main_pid = pid;
    tell(notify, DUE_MAINPID);
}

void notify_status(struct notify *notify, const char *text)
{
    if (strncmp(notify->status, text, sizeof notify->status - 1) == 0)
        return;
    snprintf(notify->status, sizeof notify->status, "%s", text);
    tell(notify, DUE_STATUS);
}
