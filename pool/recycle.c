/* Who is to be replaced, and how many at a time; see recycle.h. */
#include "pool/recycle.h"

#include "pool/assert.h"
#include "pool/chance.h"
#include "pool/move.h"
#include "pool/number.h"
#include "pool/policy_act.h"
#include "pool/rollout.h"

/* ---- shares of jitter ---- */

static uint32_t draw(uint64_t *chance)
{
    return (uint32_t)(chance_next(chance) >> 32);
}

void recycle_draw(struct policy *policy, struct slot *slot)
{
    slot->requests_share = draw(&policy->chance);
    slot->lifetime_share = draw(&policy->chance);
}

/* 0 to `jitter`, each as likely as the others; jitter < 2^32 - 1. */
static int64_t part(int64_t jitter, uint32_t share)
{
    return (int64_t)(((uint64_t)jitter + 1) * share >> 32);
}

uint64_t policy_max_requests(const struct policy *policy, uint32_t slot)
{
    const struct settings *settings = policy->settings;
    ASSERT(slot < policy->slot_count);
    if (!settings->max_requests)
        return 0;
    return (uint64_t)(settings->max_requests +
                      part(settings->max_requests_jitter, policy->slots[slot].requests_share));
}

/* ---- one worker ---- */

/* When the worker is too old. */
static int64_t end_of_life(const struct policy *policy, const struct slot *slot)
{
    const struct settings *settings = policy->settings;
    if (!settings->max_lifetime_ms)
        return NEVER_MS;
    return slot->spawned_ms + settings->max_lifetime_ms +
           part(settings->max_lifetime_jitter_ms, slot->lifetime_share);
}

/* When a request has been overdue for another `timeout`. */
static int64_t end_of_patience(const struct policy *policy, const struct slot *slot)
{
    return slot->overdue_ms == NEVER_MS ? NEVER_MS : slot->overdue_ms + policy->settings->timeout_ms;
}

/* Retiring workers finish their requests, too. */
static bool has_requests(const struct slot *slot)
{
    return slot->state == SLOT_SERVING || slot->state == SLOT_RETIRING;
}

static bool may_become_due(const struct slot *slot)
{
    return slot->state == SLOT_SERVING && slot->due == REASON_NONE;
}

int64_t recycle_deadline(const struct policy *policy, const struct slot *slot)
{
    int64_t life_ms = may_become_due(slot) ? end_of_life(policy, slot) : NEVER_MS;
    int64_t patience_ms = has_requests(slot) ? end_of_patience(policy, slot) : NEVER_MS;
    return earlier_ms(life_ms, patience_ms);
}

bool recycle_is_old(const struct policy *policy, const struct slot *slot, int64_t now_ms)
{
    return may_become_due(slot) && end_of_life(policy, slot) <= now_ms;
}

bool recycle_is_hung(const struct policy *policy, const struct slot *slot, int64_t now_ms)
{
    return has_requests(slot) && end_of_patience(policy, slot) <= now_ms;
}

bool recycle_is_still_due(const struct policy *policy, const struct slot *slot, int64_t now_ms)
{
    if (slot->due == REASON_MAX_REQUESTS)
        return policy->settings->max_requests > 0;
    if (slot->due == REASON_MAX_MEMORY)
        return policy->settings->max_memory > 0;
    if (slot->due == REASON_MAX_LIFETIME)
        return end_of_life(policy, slot) <= now_ms;
    if (slot->due == REASON_GENERATION)
        return true;
    if (slot->due == REASON_NUMBER)
        return policy->numbered;
    return policy->settings->timeout_ms > 0;
}

/* ---- all workers ---- */

int64_t recycle_limit(const struct settings *settings, int64_t workers)
{
    if (settings->max_recycling != SETTING_UNSET)
        return settings->max_recycling;
    return workers < 10 ? 1 : workers / 10;
}

int64_t recycle_leaving(const struct policy *policy)
{
    int64_t count = 0;
    if (policy_live(policy) == policy_capacity(policy)) /* nobody leaves */
        return 0;
    for (uint32_t i = 0; i < policy->slot_count; i++)
        count += policy->slots[i].recycled && !slot_is_given_up(&policy->slots[i]);
    return count;
}

int64_t recycle_room(const struct policy *policy)
{
    return recycle_limit(policy->settings, policy->wanted) - recycle_leaving(policy);
}

/* Who is at an address that is left has nobody to take his place. */
static bool is_due(const struct policy *policy, const struct slot *slot)
{
    return slot_is_due(slot) && !move_is_apart(policy, slot);
}

static int64_t count_due(const struct policy *policy)
{
    int64_t count = 0;
    if (!move_is_under_way(policy))
        return policy->due;
    for (uint32_t i = 0; i < policy->slot_count; i++)
        count += is_due(policy, &policy->slots[i]);
    return count;
}

int64_t recycle_successors(const struct policy *policy)
{
    int64_t due = count_due(policy);
    if (policy->state >= POOL_STOPPING || !due)
        return 0;
    int64_t room = recycle_room(policy) - rollout_has_canary(policy);
    return room <= 0 ? 0 : due < room ? due : room;
}

/* True when `a` goes rather than `b`: where numbers matter, whose number a successor has; the older one. */
static bool goes_first(const struct policy *policy, const struct numbers *numbers, const struct slot *a,
                       const struct slot *b)
{
    bool a_succeeded = numbers_has(numbers, a->number), b_succeeded = numbers_has(numbers, b->number);
    return policy->numbered && a_succeeded != b_succeeded ? a_succeeded : a->incarnation < b->incarnation;
}

struct slot *recycle_next(const struct policy *policy)
{
    struct slot *next = NULL;
    struct numbers numbers;
    numbers_of_serving(policy, &numbers);
    for (uint32_t i = 0; i < policy->slot_count; i++) {
        struct slot *slot = &policy->slots[i];
        if (is_due(policy, slot) && (!next || goes_first(policy, &numbers, slot, next)))
            next = slot;
    }
    return next;
}

/* All are there, and none is to be replaced, nor on trial. */
static bool is_at_rest(const struct policy *policy)
{
    return policy->state < POOL_STOPPING && !policy->resting && !policy->due && !policy->candidate &&
           policy_count(policy, SLOT_STARTING) == 0 && policy_serving(policy) == policy->wanted;
}

void recycle_order(struct policy *policy)
{
    struct numbers numbers;
    if (!policy->numbered || !is_at_rest(policy))
        return;
    numbers_of_serving(policy, &numbers);
    for (uint32_t i = 0; i < policy->slot_count; i++) {
        struct slot *slot = &policy->slots[i];
        if (slot->state != SLOT_SERVING || move_is_apart(policy, slot) ||
            (slot->number < policy->wanted && !numbers_has_twice(&numbers, slot->number)))
            continue;
        policy_mark(policy, slot, REASON_NUMBER);
        numbers_of_serving(policy, &numbers); /* of two with one number the other one may stay */
    }
}

void recycle_count(struct policy *policy, struct slot *slot)
{
    struct stats *stats = &policy->stats;
    slot->recycled = true;
    if (slot->due == REASON_MAX_REQUESTS)
        stats->recycled_requests++;
    else if (slot->due == REASON_MAX_LIFETIME)
        stats->recycled_lifetime++;
    else if (slot->due == REASON_MAX_MEMORY)
        stats->recycled_memory++;
    else if (slot->due == REASON_GENERATION)
        stats->recycled_reload++;
    else if (slot->due == REASON_NUMBER)
        stats->recycled_number++;
    else
        stats->recycled_timeout++;
}
