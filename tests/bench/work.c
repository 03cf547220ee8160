/*
 * The echo contract over FCGX, and burn=MS: so much processor time of its own first. With a path in
 * WORK_STAMPS it appends a line there when it comes to accept: its pid, and CLOCK_MONOTONIC in nanoseconds.
 */
#include "../system/workers/answer.h"
#include "../system/workers/contract.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void burn(long ms)
{
    int64_t end_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) + (int64_t)ms * 1000000;
    while (ms && clock_ns(CLOCK_PROCESS_CPUTIME_ID) < end_ns)
        ;
}

static void stamp(void)
{
    const char *path = getenv("WORK_STAMPS");
    FILE *stamps = path ? fopen(path, "ae") : NULL;
    if (!stamps)
        return;
    fprintf(stamps, "%d %lld\n", (int)getpid(), (long long)clock_ns(CLOCK_MONOTONIC));
    fclose(stamps);
}

int main(void)
{
    FCGX_Request request;
    FCGX_Init();
    FCGX_InitRequest(&request, 0, 0);
    stamp();
    while (FCGX_Accept_r(&request) == 0) {
        burn(contract_number(FCGX_GetParam("QUERY_STRING", request.envp), "burn"));
        answer(&request);
        FCGX_Finish_r(&request);
    }
    FCGX_Free(&request, 1);
    return 0;
}
