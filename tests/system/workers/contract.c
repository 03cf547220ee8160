/* What the C workers and the load generator share of the echo contract. */
#include "contract.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* 37 is prime to every power of two: a block that is lost, doubled or moved shows. */
static const char pattern[] = "abcdefghijklmnopqrstuvwxyz0123456789\n";
#define PATTERN_SIZE (sizeof pattern - 1)

static const char *find(const char *query, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = query; at && *at; at = strchr(at, '&')) {
        at += *at == '&';
        if (strncmp(at, name, size) == 0 && (at[size] == '=' || at[size] == '&' || at[size] == '\0'))
            return at + size;
    }
    return NULL;
}

long contract_number(const char *query, const char *name)
{
    const char *value = find(query, name);
    return value && *value == '=' ? strtol(value + 1, NULL, 10) : 0;
}

bool contract_flag(const char *query, const char *name)
{
    return find(query, name) != NULL;
}

void contract_pattern(char *buffer, size_t start, size_t size)
{
    for (size_t i = 0; i < size; i++)
        buffer[i] = pattern[(start + i) % PATTERN_SIZE];
}

void contract_wait(long ms)
{
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += ms / 1000;
    end.tv_nsec += ms % 1000 * 1000000;
    if (end.tv_nsec >= 1000000000) {
        end.tv_sec++;
        end.tv_nsec -= 1000000000;
    }
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) != 0)
        ;
}
