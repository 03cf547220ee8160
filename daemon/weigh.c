/* Workers that have grown too large; see weigh.h. */
#include "daemon/weigh.h"

#include "daemon/kernel/memory.h"
#include "daemon/master.h"

#define WEIGH_SECONDS 1.0

/* Resident memory counts what workers share in each of them, so it is the proportional one that decides; but
 * it is dear, and never more. Where the kernel does not tell it, the resident one has to do. */
static bool is_too_large(const struct proc_table *processes, pid_t group, uint64_t limit)
{
    uint64_t bytes;
    if (memory_resident(processes, group, &bytes) != 0 || bytes < limit)
        return false;
    return memory_proportional(processes, group, &bytes) != 0 || bytes >= limit;
}

static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct master *master = timer->data;
    __attribute__((cleanup(proc_table_fini))) struct proc_table processes = PROC_TABLE_INIT;
    (void)loop, (void)events;
    if (proc_table_read(&processes) != 0)
        return;
    for (uint32_t i = 0; i < master->policy.slot_count; i++)
        if (master->policy.slots[i].state == SLOT_SERVING &&
            is_too_large(&processes, master->workers[i].pid, (uint64_t)master->settings.max_memory))
            master_event(master, EVENT_RECYCLE, i, REASON_MAX_MEMORY);
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
