/*
 * One destination of lines: a file, or standard error in whatever shape it comes. Lines are gathered
 * (sink_put) and written together (sink_flush), never blocking (but see SINK_SHARED): what a full
 * disk, pipe or terminal does not take is dropped, whole lines only, and counted. A line of which a part was
 * taken is finished before anything else, so none is torn.
 */
#ifndef FCGIPOOL_DAEMON_BASE_SINK_H
#define FCGIPOOL_DAEMON_BASE_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest line, its newline included. */
#define SINK_LINE_MAX 65536

/* How to write without waiting. */
enum sink_way {
    SINK_WRITE,  /* a file, or a description of our own with O_NONBLOCK */
    SINK_SEND,   /* a socket, as systemd gives */
    SINK_SHARED, /* somebody else's blocking description: a write ends after 1 ms, and the next is 20 ms later
                  */
};

struct sink {
    char *path; /* owned; NULL: standard error */
    int fd;
    enum sink_way way;
    size_t write_max;      /* lines written at one time, in bytes: others may write to the same pipe */
    int64_t rest_until_ms; /* monotonic: SINK_SHARED is left alone before */
    int error;             /* positive errno of the last write; 0: it took all */
    unsigned long dropped; /* lines lost; whoever tells of them sets it to 0 */
    bool begun;            /* a part of the line at the buffer's begin was written */
    size_t length;         /* of what waits in the buffer */
    char buffer[SINK_LINE_MAX];
};

/* Standard error as it is, before anything was opened. */
#define SINK_INIT                                                                                            \
    {                                                                                                        \
        .fd = 2, .way = SINK_SHARED, .write_max = 4096                                                       \
    }

/* Makes `path` (copied; appended to, made with mode 0640, no link of either kind; NULL: standard error) the
 * destination. Lines still waiting go to the former one. Returns 0, or -errno, and the former one stays. */
__attribute__((warn_unused_result)) int sink_open(struct sink *sink, const char *path);

/* The same path anew, for its file may have been renamed. Standard error stays what it is. */
__attribute__((warn_unused_result)) int sink_reopen(struct sink *sink);

/* Writes what waits as far as that goes, and closes. */
void sink_close(struct sink *sink);

/* Adds one line of less than SINK_LINE_MAX bytes, which has no newline; it gets one. */
void sink_put(struct sink *sink, const char *text, size_t length);

/* Writes the lines that wait. Those not taken are dropped, and error and dropped tell of it. */
void sink_flush(struct sink *sink);

#endif
