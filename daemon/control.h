/*
 * The control socket: one JSON object a line, {"v":1,"command":...,"file":...,"args":{}} -> any number of
 * {"progress":...}, then one {"result":...} or {"error":{"code","text"}}.
 * Only the master's user and root are listened to. Slow and hostile clients cost the master nothing: lines,
 * answers, time and the number of clients are limited, and nothing blocks.
 */
#ifndef FCGIPOOL_DAEMON_CONTROL_H
#define FCGIPOOL_DAEMON_CONTROL_H

#include "daemon/kernel/listener.h"

#include <ev.h>
#include <jansson.h>

struct control_client;
struct master;

/* Longest request line, in bytes. */
#define CONTROL_LINE_MAX 65536
/* Clients at one time; the one that has been silent longest makes room for a new one. */
#define CONTROL_CLIENTS_MAX 64
/* A client without a command under way is dropped after this. */
#define CONTROL_IDLE_SECONDS 10.0

struct control {
    struct master *master; /* borrowed */
    struct listener listener;
    ev_io acceptor;
    ev_timer pause;                 /* no descriptor was left for a client */
    struct control_client *clients; /* list, the newest first */
    unsigned client_count;
};

/* Called after each step of the pool for a client whose command takes time: sends progress, or the result and
 * with it ends the wait. */
typedef void control_wait(struct master *master, struct control_client *client);

/* Binds the socket (mode 0600) at the absolute `path`. Its lock is what makes the master the only one of its
 * name. Returns 0 or -errno with the reason in `problem`; -EADDRINUSE: a master of this name runs. */
__attribute__((warn_unused_result)) int control_open(struct control *control, const char *path,
                                                     struct problem *problem);

/* Begins to answer on the master's loop. */
void control_start(struct control *control, struct master *master);

/* Goes on with a socket that another master has made and answered on: `listener` is taken over. Its own goes.
 */
void control_succeed(struct control *control, struct listener *listener);

/* Lets every waiting client look at the pool. */
void control_notify(struct control *control);

/* Another master answers on the socket from now on: it stays. */
void control_leave(struct control *control);

/* The socket goes first, then waiting clients look a last time, so that who gets the answer of `stop` can
 * start a new master. Answers are sent as far as the kernel takes them. Accepts a control that was never
 * opened. */
void control_close(struct control *control);

/* Answers. Each takes over its reference; a progress that says the same as the last one is not sent again;
 * `wait` goes on until one of the last two was called. */
void control_progress(struct control_client *client, json_t *value);
void control_result(struct control_client *client, json_t *value);
__attribute__((format(printf, 3, 4))) void control_error(struct control_client *client, int code,
                                                         const char *format, ...);

/* Makes the command one that takes time. */
void control_wait_for(struct control_client *client, control_wait *wait);

#endif
