/* A worker that overwrites what it shares with the master. */
#include "scribble.h"

#include "contract.h"

#include "pool/page.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { HUNDRED = 100, REST_MS = 5 };

static size_t wanted_size;
static long rate;
static uint64_t dice;

static uint64_t throw(void)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return dice;
}

/* The shared, writable mapping of a memfd that has the size of the page, or NULL. */
static unsigned char *find(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    unsigned char *found = NULL;
    char line[512], rights[8];
    unsigned long start, end;
    while (maps && !found && fgets(line, sizeof line, maps))
        if (sscanf(line, "%lx-%lx %7s", &start, &end, rights) == 3 && strcmp(rights, "rw-s") == 0 &&
            end - start == wanted_size && strstr(line, "/memfd:"))
            found = (unsigned char *)start; // NOLINT(performance-no-int-to-ptr)
    if (maps)
        fclose(maps);
    return found;
}

static void fill(unsigned char *at, size_t size)
{
    static const unsigned char extremes[] = {0x00, 0xff, 0x7f, 0x80, 0x01};
    uint64_t how = throw() % 8;
    if (how < sizeof extremes) {
        memset(at, extremes[how], size);
        return;
    }
    for (size_t i = 0; i < size; i += sizeof dice) {
        uint64_t value = throw();
        memcpy(at + i, &value, size - i < sizeof value ? size - i : sizeof value);
    }
}

static void overwrite(unsigned char *start, size_t room)
{
    size_t size = throw() % 4 == 0 ? room : sizeof(uint64_t) << throw() % 4;
    if (size > room)
        size = room;
    fill(start + throw() % (room - size + 1), size);
}

/* The orders of a page are seldom touched: an order to drain is one that the worker would heed, and leave. */
static void spoil(unsigned char *page)
{
    const size_t orders = offsetof(struct page, orders), report = offsetof(struct page, report);
    if (wanted_size != PAGE_BYTES || throw() % 4096 == 0)
        overwrite(page, wanted_size);
    else if (throw() % 8 == 0)
        overwrite(page, orders);
    else
        overwrite(page + report, wanted_size - report);
}

static void *run(void *unused)
{
    (void)unused;
    unsigned char *page = NULL;
    int tally = open("scribbled", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    for (long done = 0;; contract_wait(REST_MS)) {
        if (!page && !(page = find()))
            continue;
        for (long i = 0; i < rate * REST_MS / 1000; i++) {
            spoil(page);
            if (++done % HUNDRED == 0 && write(tally, "x", 1) != 1)
                _exit(9);
        }
    }
    return NULL;
}

bool scribble_start(bool pool, long times_a_second)
{
    pthread_t thread;
    wanted_size = pool ? PAGE_POOL_BYTES : PAGE_BYTES;
    rate = times_a_second;
    dice = 88172645463325252ULL ^ (uint64_t)getpid() << 20;
    return pthread_create(&thread, NULL, run, NULL) == 0;
}
