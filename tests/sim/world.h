/*
 * The virtual world of the simulation: chance, processes and what becomes of them, and the policy's actions
 * as the world takes them, each of which must make sense in the world as it is.
 */
#ifndef FCGIPOOL_TESTS_SIM_WORLD_H
#define FCGIPOOL_TESTS_SIM_WORLD_H

#include "pool/policy.h"

#include <stdbool.h>
#include <stdint.h>

#define SLOTS  100
#define PLACES 4096

/* What will become of one process; NEVER_MS: not by itself. */
struct process {
    uint64_t incarnation; /* 0: none */
    uint64_t place;
    int64_t spawned_ms;
    int64_t ready_ms;
    int64_t exit_ms;
    enum exit_cause cause;
    bool accepts, told_to_leave, replaced, at_limit, aborted;
    int64_t killed_ms;
    int64_t overdue_ms; /* since when the policy knows of a request that takes too long */
    bool hung;          /* there is no other request in it, and the policy knows */
};

/* An address. */
struct place {
    bool refused;
    bool drained; /* and the policy knows */
    int64_t refused_ms;
    int64_t drained_ms; /* NEVER_MS: not refusing, or told already */
};

struct world {
    struct settings settings;
    struct policy policy;
    struct slot slots[SLOTS];
    struct action action_items[2 * SLOTS + 8];
    struct actions actions;
    struct process processes[SLOTS];
    int64_t now_ms;
    int64_t stop_began_ms, stop_limit_ms; /* NEVER_MS: not stopping */
    struct place places[PLACES];
    uint64_t place_count;
    int64_t shortest_patience_ms; /* graceful_timeout, at its lowest in this life */
    bool crash_loop;              /* every start fails */
    uint64_t sound;               /* but in this generation */
    uint64_t rollouts[3];         /* enum rollout_news */
    uint64_t steps, lives, replaced, timeouts, moved;
};

extern struct world world;

/* Chance that a seed decides. */
void chance_init(uint64_t seed);
int64_t between(int64_t low, int64_t high);
bool percent(int64_t share);

int64_t min(int64_t a, int64_t b);

/* Ends the program with the seed and the step, unless `condition` holds. */
void expect(bool condition, const char *what);

/* A pool without workers, with settings by chance. */
void world_begin_life(void);

/* Other limits by chance. */
void world_draw_limits(void);

/* Processes at an address that nobody has told to leave; when `accepting`, only those that accept. */
int64_t world_staying(bool accepting, uint64_t place);

/* Processes that were replaced and are not gone, but for those that SIGKILL does not end. */
int64_t world_replaced(void);

/* Takes the actions of the last step. */
void world_take_actions(void);

#endif
