/* How many workers are wanted; see policy_want.h. */
#include "pool/policy_want.h"

#include "pool/policy_act.h"

void policy_want_start(struct policy *policy, int64_t now_ms)
{
    const struct settings *settings = policy->settings;
    int64_t start = policy->wanted > settings->workers_start ? policy->wanted : settings->workers_start;
    start = start < settings->workers_max ? start : settings->workers_max;
    policy->floor = policy->floor > 0 ? policy->floor : settings->workers_min;
    policy->wanted = policy->floor;
    if (settings_static(settings) || start <= policy->floor)
        return;
    policy->wanted = start;
    scaling_ask(&policy->scaling, (uint32_t)start, now_ms);
}

static void count_wanted(struct policy *policy, bool by_hand, int64_t now_ms, struct actions *actions)
{
    int64_t workers = policy->floor;
    enum reason reason = REASON_IDLE;
    if (!settings_static(policy->settings)) {
        scaling_forget(&policy->scaling, policy->settings, now_ms);
        int64_t asked = scaling_asked(&policy->scaling, policy->settings);
        asked = asked < policy->ceiling ? asked : policy->ceiling;
        workers = asked > workers ? asked : workers;
        workers = workers > policy->settings->workers_max ? policy->settings->workers_max : workers;
    }
    if (workers == policy->wanted)
        return;
    if (workers > policy->wanted)
        policy->spawn_reason = reason = by_hand ? REASON_SCALE_UP : REASON_LOAD;
    if (policy_serving(policy) >= workers)
        backoff_reset(&policy->backoff); /* whatever failed, nothing is missing any more */
    policy->wanted = workers;
    policy_act(ACTION_WANT, (uint32_t)workers, by_hand ? REASON_NONE : reason, actions);
}

void policy_want(struct policy *policy, int64_t floor, int64_t now_ms, struct actions *actions)
{
    int64_t low, high;
    if (policy->state >= POOL_STOPPING)
        return;
    policy_scale_range(policy, &low, &high);
    policy->floor = floor < low ? low : floor > high ? high : floor;
    count_wanted(policy, true, now_ms, actions);
}

/* ---- load ---- */

static void note_busy(struct policy *policy, const bool *busy)
{
    for (uint32_t i = 0; busy && i < policy->slot_count; i++)
        policy->slots[i].busy = busy[i];
}

static void note_saturation(struct policy *policy, uint64_t requests, int64_t now_ms, struct actions *actions)
{
    int64_t limit = settings_static(policy->settings) ? policy->floor : policy->settings->workers_max;
    bool lasted = policy->saturation.lasts;
    saturation_see(&policy->saturation, &policy->stats, policy->scaling.demand > limit, requests, now_ms);
    if (policy->saturation.lasts && !lasted)
        policy_act(ACTION_SATURATED, 1, REASON_NONE, actions);
}

void policy_want_load(struct policy *policy, const struct load *load, int64_t now_ms, struct actions *actions)
{
    if (policy->resting)
        return;
    note_busy(policy, load->busy_slots);
    scaling_see(&policy->scaling, policy->settings, load, now_ms);
    note_saturation(policy, load->requests, now_ms, actions);
}

void policy_want_pass(struct policy *policy, int64_t now_ms, struct actions *actions)
{
    bool lasted = policy->saturation.lasts;
    saturation_pass(&policy->saturation, now_ms);
    if (lasted && !policy->saturation.lasts)
        policy_act(ACTION_SATURATED, 0, REASON_NONE, actions);
    if (policy_is_open(policy))
        count_wanted(policy, false, now_ms, actions);
}

int64_t policy_want_deadline(const struct policy *policy)
{
    int64_t rest_ms = saturation_deadline(&policy->saturation), fewer_ms = NEVER_MS;
    if (policy_is_open(policy) && !settings_static(policy->settings))
        fewer_ms = scaling_deadline(&policy->scaling, policy->settings);
    return rest_ms < fewer_ms ? rest_ms : fewer_ms;
}
