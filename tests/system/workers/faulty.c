/* A program with a fault for each sanitizer: memory that is used when it has been freed, and a race. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int shared;

static void *count(void *unused)
{
    for (int i = 0; i < 100000; i++)
        shared++;
    return unused;
}

int main(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, count, NULL) == 0) {
        count(NULL);
        pthread_join(thread, NULL);
    }
    char *volatile memory = malloc(1);
    free(memory);
    printf("%d %d\n", shared, *memory); // NOLINT(clang-analyzer-unix.Malloc)
    pause();
    return 0;
}
