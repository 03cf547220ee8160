/* An application whose workers have a large table in common: of TABLE_MB megabytes, made by `load`, which
 * says so, and takes LOAD_MS milliseconds or fails as LOAD_FAILS says. Answers with what a worker knows of
 * itself, NAME=VALUE a line. */
#include "pool/worker/host/fcgipool.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned char *table;
static size_t size;
static int forks, starts;
static pid_t loader;

static size_t number(const char *name)
{
    const char *value = getenv(name);
    return value ? strtoul(value, NULL, 10) : 0;
}

static void forked(void)
{
    forks++;
}

static int load(void)
{
    size = number("TABLE_MB") << 20;
    table = malloc(size + 1);
    if (!table)
        return 1;
    for (size_t i = 0; i < size; i++)
        table[i] = (unsigned char)(i * 31 >> 8);
    usleep((useconds_t)number("LOAD_MS") * 1000);
    loader = getpid();
    pthread_atfork(NULL, NULL, forked);
    printf("the table is loaded\n");
    return (int)number("LOAD_FAILS");
}

static int start(void)
{
    starts++;
    return (int)number("START_FAILS");
}

static void serve(struct fcgipool_request *request)
{
    size_t right = 0;
    for (size_t i = 0; i < size; i += 4096)
        right += table[i] == (unsigned char)(i * 31 >> 8);
    fcgipool_header(request, "Content-Type", "text/plain");
    fcgipool_printf(request,
                    "pid=%d\nloader=%d\nforks=%d\nstarts=%d\nright=%zu\nslot=%s\nvalue=%s\npreload=%s\n",
                    (int)getpid(), (int)loader, forks, starts, right, getenv("SLOT") ? getenv("SLOT") : "",
                    getenv("VALUE") ? getenv("VALUE") : "", getenv("LD_PRELOAD") ? getenv("LD_PRELOAD") : "");
}

FCGIPOOL_APP(.load = load, .start = start, .request = serve)
