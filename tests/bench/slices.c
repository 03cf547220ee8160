/*
 * Two servers compared in one run: short slices of load on one and the other in turn, so that whatever else
 * the machine does falls on both.
 *
 *   slices (fastcgi | http) CLIENTS MS PAIRS SCRIPT ADDRESS_A PREFIX_A ADDRESS_B PREFIX_B
 *
 * Prints a line a pair: requests a second of A and of B. Which of the two comes first is drawn for each pair.
 * Exits 1 as soon as a request is lost.
 */
#include "../system/tools/exchange.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CLIENTS = 64, OPERANDS = 10 };

struct arm {
    struct target target;
    struct shot shot;
};

static struct arm arms[2];
static const struct arm *current; /* NULL: the end */
static int64_t end_ns;
static pthread_barrier_t barrier;
static double rates[CLIENTS];

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* A client's requests a second; the one that straddles the end of the slice counts, with its time. */
static double slice(struct line *line)
{
    int64_t start_ns = now_ns(), count = 0, last_ns;
    const char *reason = "";
    int pid;
    do {
        if (exchange(&current->target, &current->shot, line, &reason, &pid) != OUTCOME_RIGHT) {
            fprintf(stderr, "slices: %s\n", reason);
            exit(1);
        }
        count++;
    } while ((last_ns = now_ns()) < end_ns);
    return (double)count * 1e9 / (double)(last_ns - start_ns);
}

static void *client(void *rate)
{
    struct line line = {.fd = -1};
    for (;;) {
        pthread_barrier_wait(&barrier);
        if (!current)
            break;
        *(double *)rate = slice(&line);
        pthread_barrier_wait(&barrier);
    }
    free(line.reply.bytes);
    return NULL;
}

static double measure(const struct arm *arm, long clients, long ms)
{
    double rate = 0;
    current = arm;
    end_ns = now_ns() + (int64_t)ms * 1000000;
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    for (long i = 0; i < clients; i++)
        rate += rates[i];
    return rate;
}

static bool make_arm(char **operands, enum wire wire, const char *script, struct arm *ret_arm)
{
    char word[] = "GET:10";
    const struct shot_form form = {.wire = wire, .prefix = operands[1], .script = script};
    ret_arm->target = (struct target){.wire = wire, .connect_ms = 10000, .answer_ms = 10000};
    return target_parse(operands[0], &ret_arm->target) && shot_make(word, &form, 0, &ret_arm->shot);
}

int main(int argc, char **argv)
{
    pthread_t threads[CLIENTS];
    enum wire wire = argc > 1 && strcmp(argv[1], "http") == 0 ? WIRE_HTTP : WIRE_FASTCGI;
    if (argc != OPERANDS || !make_arm(argv + 6, wire, argv[5], &arms[0]) ||
        !make_arm(argv + 8, wire, argv[5], &arms[1])) {
        fprintf(stderr, "usage: slices (fastcgi | http) CLIENTS MS PAIRS SCRIPT ADDRESS_A PREFIX_A ADDRESS_B"
                        " PREFIX_B\n");
        return 64;
    }
    long clients = strtol(argv[2], NULL, 10), ms = strtol(argv[3], NULL, 10);
    if (clients < 1 || clients > CLIENTS || pthread_barrier_init(&barrier, NULL, (unsigned)clients + 1) != 0)
        return 64;
    for (long i = 0; i < clients; i++)
        if (pthread_create(&threads[i], NULL, client, &rates[i]) != 0)
            return 70;
    srandom((unsigned)now_ns());
    for (long pair = strtol(argv[4], NULL, 10); pair > 0; pair--) {
        double measured[2];
        long first = random() >> 7 & 1;
        measured[first] = measure(&arms[first], clients, ms);
        measured[!first] = measure(&arms[!first], clients, ms);
        printf("%.2f %.2f\n", measured[0], measured[1]);
    }
    current = NULL;
    pthread_barrier_wait(&barrier);
    for (long i = 0; i < clients; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < 2; i++)
        shot_fini(&arms[i].shot);
    return 0;
}
