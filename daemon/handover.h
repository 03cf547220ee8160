/*
 * What passes between a master and the one that it has started to take its place: descriptors, which the new
 * one is started with and finds by name in an environment variable, and messages, JSON objects on a socket
 * that is closed when either of them has gone:
 *   old -> new, at once   {"v":1,"pid","generation","floor","by_hand","wanted","min","leaves","pidfile",
 *                          "passed","control":{"device","inode","path"},"listener":{"device","inode"}}
 *                         ("passed": the old one's `listen`, if its socket is kept by others)
 *   new -> old            {"state":"started","pidfile"}     it is a master; its pidfile, without the ".2"
 *                         {"state":"ready","shared":true}   a worker accepts, from the old one's socket
 *                         {"state":"settled"}               as many as are wanted do
 *                         {"state":"leaving"}               it stops
 *   old -> new, when it is to leave       {"ask":"take"}    what waits in the listener is the new one's, too
 *   new -> old, unless it has said that it leaves           {"state":"takes"}
 *   old -> new, at last   {"counters":{},"requests","floor","by_hand","min"}   then it closes
 * The two may be of different versions: what is not understood is left out.
 */
#ifndef FCGIPOOL_DAEMON_HANDOVER_H
#define FCGIPOOL_DAEMON_HANDOVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define HANDOVER_VARIABLE "FCGIPOOL_FDS"

enum handover_fd {
    HANDOVER_LINK, /* of the messages */
    HANDOVER_LISTENER,
    HANDOVER_LISTENER_LOCK, /* of a unix path; the others are always there */
    HANDOVER_CONTROL,
    HANDOVER_CONTROL_LOCK,
    HANDOVER_STDOUT, /* the old one's; what the new one begins with is read by the old one */
    HANDOVER_STDERR,
    HANDOVER_FDS
};

/* "FCGIPOOL_FDS=link:5,listener:6,...": those that are not -1; owned by the caller. */
char *handover_name(const int fds[static HANDOVER_FDS]);

/* The inverse, of the text behind "=": -1 for those that it does not name. False: it is not such a text, or
 * one of those that are always there is missing or not open. */
bool handover_parse(const char *text, int ret_fds[static HANDOVER_FDS]);

/* The two ends of the socket, close-on-exec. Returns 0 or -errno. */
__attribute__((warn_unused_result)) int handover_link(int ret_ends[2]);

/* Sends, without waiting; takes `message` over. Who is not there any more misses nothing. */
void handover_send(int fd, json_t *message);

/* Returns 0 with a new reference (NULL: a message that is no JSON), -EAGAIN when there is none, or -EPIPE:
 * the other one has gone. */
__attribute__((warn_unused_result)) int handover_receive(int fd, json_t **ret_message);

#endif
