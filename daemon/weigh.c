/* Workers that have grown too large; see weigh.h. */
#include "daemon/weigh.h"

#include "daemon/kernel/memory.h"
#include "daemon/master.h"

#define WEIGH_SECONDS 0.5

/* Resident memory counts what workers share in each of them, so it is the proportional one that decides, and
 * that is never more. Where the kernel does not tell it, the resident one has to do. */
static bool is_too_large(const struct proc_table *processes, pid_t group, uint64_t limit)
{
    uint64_t bytes;
    return memory_proportional(processes, group, &bytes) != 0 || bytes >= limit;
}

static bool may_be_too_large(const struct proc_table *processes, pid_t group, uint64_t limit)
{
    uint64_t bytes;
    return memory_resident(processes, group, &bytes) == 0 && bytes >= limit;
}

/* The dear look is for one worker at a time, so that it does not hold up the master; each has its turn. */
static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct master *master = timer->data;
    uint32_t count = master->policy.slot_count;
    uint64_t limit = (uint64_t)master->settings.max_memory;
    __attribute__((cleanup(proc_table_fini))) struct proc_table processes = PROC_TABLE_INIT;
    (void)loop, (void)events;
    if (proc_table_read(&processes) != 0)
        return;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t slot = (master->weighed + 1 + i) % count;
        pid_t group = master->workers[slot].pid;
        if (master->policy.slots[slot].state != SLOT_SERVING ||
            master->policy.slots[slot].due != REASON_NONE || !may_be_too_large(&processes, group, limit))
            continue;
        master->weighed = slot;
        if (is_too_large(&processes, group, limit))
            master_event(master, EVENT_RECYCLE, slot, REASON_MAX_MEMORY);
        return;
    }
}

void weigh_init(struct master *master)
{
    ev_timer_init(&master->weigh, on_look, WEIGH_SECONDS, WEIGH_SECONDS);
    master->weigh.data = master;
}

void weigh_start(struct master *master)
{
    if (master->settings.max_memory)
        ev_timer_start(master->loop, &master->weigh);
    else
        ev_timer_stop(master->loop, &master->weigh);
}

void weigh_stop(struct master *master)
{
    ev_timer_stop(master->loop, &master->weigh);
}
