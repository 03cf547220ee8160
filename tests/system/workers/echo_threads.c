/* The echo contract by threads, each with a request of its own: echo_threads [THREADS]. */
#include "answer.h"

#include <pthread.h>
#include <stdlib.h>

static void *serve(void *unused)
{
    (void)unused;
    FCGX_Request request;
    FCGX_InitRequest(&request, 0, 0);
    while (FCGX_Accept_r(&request) == 0) {
        answer(&request);
        FCGX_Finish_r(&request);
    }
    FCGX_Free(&request, 1);
    return NULL;
}

int main(int argc, char **argv)
{
    enum { THREADS = 64 };
    pthread_t threads[THREADS];
    long count = argc > 1 ? strtol(argv[1], NULL, 10) : 4;
    FCGX_Init();
    for (long i = 1; i < count && i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, serve, NULL) != 0)
            return 1;
    serve(NULL);
    for (long i = 1; i < count && i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
