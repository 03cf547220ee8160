/* The pool's listeners; see listeners.h. */
#include "daemon/listeners.h"

#include "daemon/base/memory.h"
#include "daemon/master.h"
#include "daemon/recent.h"
#include "pool/assert.h"
#include "pool/move.h"

#include <stdlib.h>
#include <string.h>

void listeners_init(struct listeners *listeners)
{
    listeners->items = memory_must(calloc(LISTENERS_MAX, sizeof *listeners->items));
    for (size_t i = 0; i < LISTENERS_MAX; i++)
        listeners->items[i].listener = (struct listener)LISTENER_INIT;
}

void listeners_fini(struct listeners *listeners)
{
    for (size_t i = 0; i < LISTENERS_MAX; i++)
        listener_close(&listeners->items[i].listener);
    free(listeners->items);
    listeners->items = NULL;
}

/* ---- finding one ---- */

struct bound *listeners_next(const struct listeners *listeners, const struct bound *bound)
{
    for (size_t i = bound ? (size_t)(bound - listeners->items) + 1 : 0; i < LISTENERS_MAX; i++)
        if (listeners->items[i].listener.fd >= 0)
            return &listeners->items[i];
    return NULL;
}

struct bound *listeners_at(const struct listeners *listeners, uint64_t place)
{
    struct bound *bound = NULL;
    do {
        bound = listeners_next(listeners, bound);
    } while (bound && bound->place != place);
    return bound;
}

struct bound *listeners_current(const struct master *master)
{
    struct bound *bound = listeners_at(&master->listeners, master->policy.place);
    ASSERT(bound);
    return bound;
}

struct bound *listeners_room(const struct listeners *listeners)
{
    size_t i = 0;
    while (i < LISTENERS_MAX && listeners->items[i].listener.fd >= 0)
        i++;
    return i < LISTENERS_MAX ? &listeners->items[i] : NULL;
}

uint32_t listeners_count(const struct listeners *listeners)
{
    uint32_t count = 0;
    for (const struct bound *bound = NULL; (bound = listeners_next(listeners, bound));)
        count++;
    return count;
}

uint32_t listeners_queued(const struct listeners *listeners)
{
    uint32_t queued = 0;
    for (const struct bound *bound = NULL; (bound = listeners_next(listeners, bound));)
        queued += listener_queued(&bound->listener);
    return queued;
}

/* ---- leaving them ---- */

static void refuse(struct bound *bound)
{
    char address[ADDRESS_TEXT_SIZE];
    address_format(&bound->listener.address, address, sizeof address);
    int result = listener_refuse(&bound->listener);
    if (result)
        log_warning("new connections at %s cannot be refused (%s): its end may take until graceful_timeout",
                    address, strerror(-result));
    else
        log_info("new connections at %s are refused", address);
}

/* Its path is free from now on: another listener may come there. */
static void leave(struct bound *bound)
{
    refuse(bound);
    listener_unlock(&bound->listener);
}

void listeners_refuse(struct master *master, bool all)
{
    for (struct bound *bound = NULL; (bound = listeners_next(&master->listeners, bound));) {
        const struct departure *departure = move_find(&master->policy, bound->place);
        if (bound->listener.refused_ms)
            continue;
        if (all)
            refuse(bound);
        else if (departure && departure->refusing)
            leave(bound);
    }
}

/* Whether workers are, or may be, started there. */
static bool is_wanted(const struct policy *policy, uint64_t place)
{
    return place == policy->place || (policy->candidate && place == policy->candidate_place) ||
           move_find(policy, place);
}

/* By one that even SIGKILL does not end it is not. */
static bool is_used(const struct policy *policy, uint64_t place)
{
    for (uint32_t i = 0; i < policy->slot_count; i++)
        if (policy->slots[i].state != SLOT_EMPTY && policy->slots[i].place == place &&
            !slot_is_given_up(&policy->slots[i]))
            return true;
    return false;
}

/* Whoever has it still gets nothing out of it any more. */
static void end(const struct listener *listener)
{
    char address[ADDRESS_TEXT_SIZE];
    uint32_t waiting = listener_queued(listener);
    listener_end(listener);
    if (!waiting)
        return;
    address_format(&listener->address, address, sizeof address);
    log_warning("%u connections that wait at %s are given up", waiting, address);
    recent_add("%u connections that wait at %s are given up", waiting, address);
}

static void close_one(struct master *master, struct bound *bound)
{
    char address[ADDRESS_TEXT_SIZE];
    address_format(&bound->listener.address, address, sizeof address);
    load_unwatch(master, &bound->listener);
    end(&bound->listener);
    listener_close(&bound->listener);
    log_info("pool %s does not listen on %s any more", master->name, address);
}

void listeners_prune(struct master *master)
{
    const struct policy *policy = &master->policy;
    bool closed = false;
    if (listeners_count(&master->listeners) == 1)
        return;
    for (struct bound *bound = NULL; (bound = listeners_next(&master->listeners, bound));) {
        if (is_wanted(policy, bound->place) || is_used(policy, bound->place))
            continue;
        close_one(master, bound);
        closed = true;
    }
    if (closed)
        listeners_record(master);
}

void listeners_end(const struct listeners *listeners, const struct bound *shared)
{
    for (const struct bound *bound = NULL; (bound = listeners_next(listeners, bound));)
        if (bound != shared)
            end(&bound->listener);
}

/* ---- the state file ---- */

void listeners_record(struct master *master)
{
    struct listener own[LISTENERS_MAX], *all;
    uint64_t places[LISTENERS_MAX];
    size_t count = 0;
    for (const struct bound *bound = NULL; (bound = listeners_next(&master->listeners, bound)); count++) {
        size_t i = count;
        for (; i > 0 && places[i - 1] < bound->place; i--) {
            own[i] = own[i - 1];
            places[i] = places[i - 1];
        }
        own[i] = bound->listener;
        places[i] = bound->place;
    }
    count = orphans_sockets(&master->orphans, own, count, &all);
    master_note(master, state_renew(&master->state, all, count));
    free(all);
}
