/* What can be asked of a policy without changing it; see policy.h. */
#include "pool/policy.h"

#include "pool/assert.h"
#include "pool/move.h"
#include "pool/recycle.h"
#include "pool/rollout.h"

static const char *const pool_state_names[POOL_STATES] = {
#define POOL_STATE(id, name) [POOL_##id] = name,
#include "pool/pool_state.def"
#undef POOL_STATE
};

const char *pool_state_name(enum pool_state state)
{
    return pool_state_names[state];
}

uint32_t policy_slots_for(const struct settings *settings, int64_t workers, uint32_t places)
{
    if (!settings_static(settings) && workers < settings->workers_max)
        workers = settings->workers_max;
    ASSERT(workers >= 0 && workers <= POLICY_WORKERS_MAX);
    int64_t recycling = recycle_limit(settings, workers);
    return (uint32_t)(workers * places + (workers + 9) / 10 + (recycling < workers ? recycling : workers));
}

uint32_t policy_count(const struct policy *policy, enum slot_state state)
{
    return policy->counts[state];
}

uint32_t policy_live(const struct policy *policy)
{
    uint32_t given_up = 0;
    for (uint32_t i = 0; policy->counts[SLOT_KILLING] && i < policy->slot_count; i++)
        given_up += slot_is_given_up(&policy->slots[i]);
    return policy->slot_count - policy->counts[SLOT_EMPTY] - given_up;
}

int64_t policy_capacity(const struct policy *policy)
{
    return policy_serving(policy) + policy_count(policy, SLOT_STARTING) - move_count(policy, SLOT_STARTING);
}

int64_t policy_serving(const struct policy *policy)
{
    return (int64_t)policy_count(policy, SLOT_SERVING) - move_count(policy, SLOT_SERVING);
}

int64_t policy_target(const struct policy *policy)
{
    return policy->resting || policy->dry
               ? 0
               : policy->wanted + recycle_successors(policy) + rollout_has_canary(policy);
}

bool policy_is_settled(const struct policy *policy)
{
    int64_t staying = (int64_t)policy_count(policy, SLOT_STARTING) + policy_count(policy, SLOT_SERVING);
    int64_t leaving = policy_live(policy) - staying;
    return policy_serving(policy) >= policy->wanted && leaving == recycle_leaving(policy);
}

bool policy_may_grow(const struct policy *policy)
{
    return !settings_static(policy->settings) && policy->wanted < policy->settings->workers_max;
}

int64_t policy_look_ms(const struct policy *policy, const struct load *load)
{
    if (!load_is_full(load))
        return load->peak > 0 && !settings_static(policy->settings) ? POLICY_LOOK_LAST_MS : NEVER_MS;
    return policy_capacity(policy) > 0 && policy_may_grow(policy) ? POLICY_LOOK_SOON_MS
                                                                  : POLICY_LOOK_LATER_MS;
}

bool policy_is_held(const struct policy *policy)
{
    int64_t max = policy->settings->workers_max, asked = scaling_asked(&policy->scaling, policy->settings);
    return !settings_static(policy->settings) && policy->wanted < (asked < max ? asked : max);
}

bool policy_is_open(const struct policy *policy)
{
    return policy->draining || policy->state < POOL_STOPPING;
}

void policy_scale_range(const struct policy *policy, int64_t *ret_low, int64_t *ret_high)
{
    *ret_low = policy->settings->workers_min ? 1 : 0;
    *ret_high = settings_static(policy->settings) ? POLICY_WORKERS_MAX : policy->settings->workers_max;
}
