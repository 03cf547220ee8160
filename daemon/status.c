/* The JSON of `status`; see status.h. */
#include "daemon/status.h"

#include "daemon/base/clock.h"
#include "daemon/master.h"

#include <unistd.h>

static json_t *queue_json(const struct master *master)
{
    uint32_t queued, limit;
    if (listener_queue(&master->listener, &queued, &limit))
        return json_null();
    return json_pack("{s:I,s:I}", "now", (json_int_t)queued, "limit", (json_int_t)limit);
}

static json_t *counters_json(const struct stats *stats)
{
    json_t *counters = json_object();
#define STAT(field, help) json_object_set_new(counters, #field, json_integer((json_int_t)stats->field));
#include "pool/stats.def"
#undef STAT
    return counters;
}

/* What only an observed worker tells (requests, current) is null. */
static json_t *worker_json(const struct master *master, uint32_t index, int64_t now_ms)
{
    const struct slot *slot = &master->policy.slots[index];
    return json_pack("{s:i,s:I,s:I,s:i,s:s,s:s,s:I,s:n,s:n}",           //
                     "slot", (int)index,                                //
                     "incarnation", (json_int_t)slot->incarnation,      //
                     "generation", (json_int_t)slot->generation,        //
                     "pid", (int)master->workers[index].pid,            //
                     "state", slot_state_name(slot->state),             //
                     "observe", "kernel",                               //
                     "age_ms", (json_int_t)(now_ms - slot->spawned_ms), //
                     "requests", "current");
}

static json_t *workers_json(const struct master *master)
{
    json_t *workers = json_array();
    int64_t now_ms = clock_now_ms();
    for (uint32_t i = 0; i < master->policy.slot_count; i++)
        if (master->policy.slots[i].state != SLOT_EMPTY)
            json_array_append_new(workers, worker_json(master, i, now_ms));
    return workers;
}

json_t *status_json(const struct master *master)
{
    const struct policy *policy = &master->policy;
    int64_t low, high;
    policy_scale_range(policy, &low, &high);
    return json_pack("{s:i,s:s,s:i,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:o,s:o,s:o,s:I}", //
                     "v", 1,                                                      //
                     "name", master->name,                                        //
                     "pid", (int)getpid(),                                        //
                     "state", pool_state_name(policy->state),                     //
                     "file", conf_file(master->conf),                             //
                     "listen", master->address,                                   //
                     "generation", (json_int_t)policy->generation,                //
                     "floor", (json_int_t)policy->wanted,                         //
                     "min", (json_int_t)policy->settings->workers_min,            //
                     "max", (json_int_t)policy->settings->workers_max,            //
                     "queue", queue_json(master),                                 //
                     "counters", counters_json(&policy->stats),                   //
                     "workers", workers_json(master),                             //
                     "orphans", (json_int_t)master->orphans.left);
}
