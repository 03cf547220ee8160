/*
 * The protocol of sd_notify: tells systemd, or whoever else has given us a NOTIFY_SOCKET, how the pool fares,
 * in datagrams of lines VARIABLE=VALUE. Never blocks: what a full socket does not take is tried again soon,
 * what is newer in place of what is older.
 */
#ifndef FCGIPOOL_DAEMON_NOTIFY_H
#define FCGIPOOL_DAEMON_NOTIFY_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#define NOTIFY_STATUS_SIZE 160

struct notify {
    struct sockaddr_un address;
    socklen_t length;     /* of the address; 0: nobody wants to know */
    double watchdog_s;    /* 0: nobody asks for signs of life; else half of what is allowed between two */
    struct ev_loop *loop; /* NULL: not started */
    int fd;               /* meaningful once started */
    unsigned due;         /* what has not been sent yet */
    pid_t main_pid;       /* 0: ours */
    int64_t reloading_us; /* when the last reload began, by CLOCK_MONOTONIC */
    char status[NOTIFY_STATUS_SIZE];
    ev_timer retry;
    ev_timer watchdog;
};

/* Reads NOTIFY_SOCKET (a path or "@NAME", abstract), WATCHDOG_USEC and WATCHDOG_PID. To be called in the
 * process that they were meant for: a master that forks off afterwards inherits what was asked of it. */
void notify_take(struct notify *ret_notify);

/* Opens the socket and begins with the watchdog's signs of life. */
void notify_start(struct notify *notify, struct ev_loop *loop);

/* Sends what is due a last time and ends. Accepts one that was never started. */
void notify_stop(struct notify *notify);

/* True when it is worth the while to make a status. */
bool notify_is_on(const struct notify *notify);

/* READY=1, with MAINPID: the one whom systemd has started may have forked us off. Also the end of a reload.
 */
void notify_ready(struct notify *notify);

/* RELOADING=1, with the time: notify_ready ends it. */
void notify_reloading(struct notify *notify);

void notify_stopping(struct notify *notify);

/* MAINPID: another process is the service's from now on. Nothing more is to be said by this one. */
void notify_mainpid(struct notify *notify, pid_t pid);

/* STATUS=text (one line, cut to NOTIFY_STATUS_SIZE), unless that was said last. */
void notify_status(struct notify *notify, const char *text);

#endif
