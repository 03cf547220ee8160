/*
 * What the master and the application host (pool/worker/host) agree on; both are built from this file.
 *
 * A template is a host that forks workers off itself. The two converse over a socket of sequenced packets.
 * The template sends a struct fork_answer when it has loaded the application. From then on each packet of the
 * master is a struct fork_order, its descriptors (SCM_RIGHTS: the listener, then those that the order has)
 * and the worker's environment; each is answered when the worker is a child of the master's and leads its
 * process group. An answer without an error is answered in turn, by one byte: if that is 1 the worker goes
 * on, else it ends. When the master closes the socket the template ends, and a worker that waits.
 */
#ifndef FCGIPOOL_POOL_HOST_H
#define FCGIPOOL_POOL_HOST_H

#include <stdint.h>

/* How a host exits that cannot serve (the numbers are gunicorn's): the application's `start` has failed; it
 * cannot be loaded. */
#define HOST_EXIT_BOOT 3
#define HOST_EXIT_LOAD 4

/* Of what follows; the pid of the first answer. */
#define FORK_VERSION 1

/* The listener, the output, its page and the pool's. */
#define FORK_ORDER_FDS 4

/* Of the environment; the kernel may allow less. */
#define FORK_ORDER_BYTES (192 * 1024)

enum fork_order_flag {
    FORK_ORDER_OUTPUT = 1,       /* a descriptor that becomes 1 and 2; else the template's own stay */
    FORK_ORDER_PAGE = 2,         /* those of the two pages */
    FORK_ORDER_SAME_SESSION = 4, /* a process group in the template's session, no session of its own */
    FORK_ORDER_PROCESSOR = 8,    /* `processor` is the one that it is bound to */
};

struct fork_order {
    uint64_t serial; /* of the worker; comes back in the answer */
    uint32_t flags;
    uint32_t processor;
    /* Strings follow, "NAME=value" each, with their NULs. */
};

struct fork_answer {
    uint64_t serial;
    int32_t pid;
    int32_t error; /* errno; 0: none */
};

#endif
