/* Keeping a pool within its memory; see guard.h. */
#include "daemon/guard.h"

#include "daemon/kernel/memory.h"
#include "daemon/kernel/proc.h"
#include "daemon/master.h"

#define LOOK_SECONDS 1.0
/* What a worker is taken to need before one was weighed. */
#define WORKER_BYTES (UINT64_C(8) << 20)

static bool is_guarded(const struct master *master)
{
    uint64_t used, limit;
    return !settings_static(&master->settings) &&
           (master->settings.memory_high || cgroup_memory(&master->guard.cgroup, &used, &limit) == 0);
}

/* ---- what they take ---- */

static void weigh(struct master *master)
{
    struct guard *guard = &master->guard;
    __attribute__((cleanup(proc_table_fini))) struct proc_table processes = PROC_TABLE_INIT;
    uint64_t bytes, total = 0;
    uint32_t count = 0;
    if (proc_table_read(&processes) != 0)
        return;
    for (uint32_t i = 0; i < master->policy.slot_count; i++) {
        pid_t group = master->workers[i].pid;
        /* One that starts takes no more yet than its program file. */
        if (group <= 0 || master->policy.slots[i].state == SLOT_STARTING)
            continue;
        /* What is shared with a template counts once. */
        int unknown = master->settings.preload_app ? memory_proportional(&processes, group, &bytes)
                                                   : memory_resident(&processes, group, &bytes);
        if (unknown)
            continue;
        total += bytes;
        count++;
    }
    guard->resident = total;
    guard->weighed = count;
    if (count && total / count > guard->worker)
        guard->worker = total / count;
}

/* Of those who have come since they were weighed, as much as of the others. */
static uint64_t resident_now(const struct master *master)
{
    const struct guard *guard = &master->guard;
    int64_t more = (int64_t)policy_live(&master->policy) - guard->weighed;
    return guard->resident + (more > 0 ? (uint64_t)more * guard->worker : 0);
}

/* ---- what they may ---- */

static int64_t lower(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t ceiling(const struct master *master)
{
    const struct policy *policy = &master->policy;
    const struct guard *guard = &master->guard;
    int64_t workers = policy_capacity(policy), needed = policy->scaling.demand, most = INT64_MAX;
    struct memory memory = {.worker = guard->worker ? guard->worker : WORKER_BYTES};
    if (cgroup_memory(&guard->cgroup, &memory.used, &memory.limit) == 0) {
        memory.used += policy_count(policy, SLOT_STARTING) * memory.worker; /* which they will take soon */
        most = memory_ceiling(&memory, workers, needed);
    }
    memory.used = resident_now(master);
    memory.limit = (uint64_t)master->settings.memory_high;
    if (memory.limit)
        most = lower(most, memory_ceiling(&memory, workers, needed));
    return most;
}

/* Once an episode. */
static void say(struct master *master, bool tight)
{
    struct guard *guard = &master->guard;
    if (tight && !guard->tight)
        log_warning("pool %s: memory is short: it has no more than %lld workers until there is some",
                    master->name, (long long)master->policy.ceiling);
    else if (!tight && guard->tight)
        log_info("pool %s: there is memory for more workers again", master->name);
    guard->tight = tight;
}

void guard_look(struct master *master)
{
    struct guard *guard = &master->guard;
    if (settings_static(&master->settings) || !policy_is_open(&master->policy))
        return;
    if (!ev_is_active(&guard->look) && is_guarded(master))
        ev_timer_again(master->loop, &guard->look);
    if (!guard->weighed && policy_count(&master->policy, SLOT_SERVING))
        weigh(master);
    int64_t most = ceiling(master);
    if (most != master->policy.ceiling)
        master_event(master, EVENT_MEMORY, 0, most);
    say(master, policy_is_held(&master->policy));
}

static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct master *master = timer->data;
    (void)events;
    weigh(master);
    guard_look(master);
    if (master->policy.wanted <= master->policy.floor && !master->guard.tight)
        ev_timer_stop(loop, timer);
}

/* ---- life ---- */

void guard_init(struct master *master)
{
    ev_init(&master->guard.look, on_look);
    master->guard.look.repeat = LOOK_SECONDS;
    master->guard.look.data = master;
}

void guard_start(struct master *master)
{
    cgroup_find(&master->guard.cgroup);
}

void guard_stop(struct master *master)
{
    ev_timer_stop(master->loop, &master->guard.look);
}
