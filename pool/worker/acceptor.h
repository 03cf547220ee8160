/*
 * The acceptors of a page: a row a thread that has ever accepted, saying whether it waits for a connection
 * now.
 */
#ifndef FCGIPOOL_POOL_WORKER_ACCEPTOR_H
#define FCGIPOOL_POOL_WORKER_ACCEPTOR_H

#include <stdbool.h>
#include <sys/types.h>

/* This thread comes to accept, or to wait for the listener: gives it a row, and lets the process begin when
 * it is the first. Cheap when done before. */
void acceptor_enter(void);

/* This thread waits from now on, and the drain's signal may come. Returns false when the worker is told to
 * drain: then it does not wait, and the signal is held. */
bool acceptor_wait(void);

/* It waits no more, and the signal comes no more. Returns how many still wait in the whole pool. errno is
 * preserved. */
int acceptor_leave(void);

/* Somebody waits for connections where the page does not tell of it. */
void acceptor_unlisted(void);

/* In the child of a fork: it waits nowhere yet. */
void acceptor_forked(void);

/* Frees the rows that a former program of this process left. */
void acceptor_forget(pid_t pid);

#endif
