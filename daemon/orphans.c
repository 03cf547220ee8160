/* Workers of former masters; see orphans.h. */
#include "daemon/orphans.h"

#include "daemon/base/clock.h"
#include "daemon/kernel/adopt.h"
#include "daemon/kernel/proc.h"
#include "daemon/master.h"

#include <sched.h>
#include <signal.h>
#include <unistd.h>

/* How often to look whether the queue of an old socket is empty, or the killed have gone. */
#define LOOK_MS 10

const struct listener *orphans_listener(const struct orphans *orphans)
{
    return orphans->former_count ? &orphans->formers[0] : NULL;
}

int orphans_record(const struct orphans *orphans, struct state *state)
{
    int result = 0;
    for (size_t i = 0; i < orphans->count && result == 0; i++) {
        const struct orphan *orphan = &orphans->items[i];
        const struct listener *former = &orphans->formers[orphan->former];
        struct state_record record = {.pid = orphan->retirement.group,
                                      .start = orphan->start,
                                      .inode = former->inode,
                                      .cookie = former->cookie};
        if (!orphan->gone)
            result = state_add(state, &record);
    }
    return result;
}

void orphans_names(const struct orphans *orphans, char *ret_text, size_t size)
{
    size_t length = 0, shown = 0;
    ret_text[0] = '\0';
    for (size_t i = 0; i < orphans->count && shown < 8; i++)
        if (!orphans->items[i].gone && length < size)
            length += (size_t)snprintf(ret_text + length, size - length, shown++ ? ", %ld" : "%ld",
                                       (long)orphans->items[i].retirement.group);
    if (shown < orphans->left && length < size)
        (void)snprintf(ret_text + length, size - length, " and %zu more", orphans->left - shown);
}

/* ---- retiring ---- */

/* The pid may be somebody else's by now. */
static bool is_still(const struct orphan *orphan)
{
    uint64_t found;
    return orphan->start == 0 || proc_start(orphan->retirement.group, &found) != 0 || found == orphan->start;
}

static void forget(struct master *master, struct orphan *orphan)
{
    orphan->gone = true;
    master->orphans.left--;
    output_stop(orphan->output, master->loop);
    orphan->output = NULL;
    master_note(master, state_drop(&master->state, orphan->retirement.group));
}

/* They are nobody's children here, so their end is seen in /proc only. The number of a group is not given
 * away again while a process is in it. */
static void forget_gone(struct master *master)
{
    struct orphans *orphans = &master->orphans;
    struct proc_table table = PROC_TABLE_INIT;
    if (proc_table_read(&table) != 0)
        return;
    for (size_t i = 0; i < orphans->count; i++) {
        const struct proc_entry *members;
        struct orphan *orphan = &orphans->items[i];
        bool living = false;
        size_t count = orphan->gone ? 0 : proc_table_group(&table, orphan->retirement.group, &members);
        for (size_t k = 0; k < count && !living; k++)
            living = !proc_ended(members[k].pid);
        if (!orphan->gone && (!living || !is_still(orphan)))
            forget(master, orphan);
    }
    proc_table_fini(&table);
}

/* Those who accept from one socket. Returns the delay to the next look. */
static int retire_of(struct orphans *orphans, size_t former, struct retirement **retirements)
{
    const struct listener *listener = &orphans->formers[former];
    size_t count = 0;
    for (size_t i = 0; i < orphans->count; i++) {
        struct orphan *orphan = &orphans->items[i];
        if (!orphan->gone && orphan->former == former && is_still(orphan))
            retirements[count++] = &orphan->retirement;
    }
    /* What waits in a queue is reset when the last who could accept it goes. */
    if (count == 0 || !((former == 0 && orphans->shared) || listener_is_empty(listener)))
        return LOOK_MS;
    int delay_ms = retire_tick(retirements, count, listener, clock_now_ms());
    return delay_ms >= 0 && delay_ms < LOOK_MS ? delay_ms : LOOK_MS;
}

static int retire(struct orphans *orphans)
{
    struct retirement **retirements = calloc(orphans->count, sizeof(struct retirement *));
    int next_ms = LOOK_MS;
    for (size_t i = 0; retirements && i < orphans->former_count; i++) {
        int delay_ms = retire_of(orphans, i, retirements);
        next_ms = delay_ms < next_ms ? delay_ms : next_ms;
    }
    free(retirements);
    return next_ms;
}

static void kill_all(struct master *master, const char *why)
{
    struct orphans *orphans = &master->orphans;
    for (size_t i = 0; i < orphans->count; i++) {
        struct orphan *orphan = &orphans->items[i];
        if (orphan->gone || orphan->retirement.phase == RETIREMENT_DONE || !is_still(orphan))
            continue;
        log_warning("worker pid %ld of a former master is killed: %s", (long)orphan->retirement.group, why);
        (void)kill(-orphan->retirement.group, SIGKILL);
        orphan->retirement.phase = RETIREMENT_DONE;
    }
    orphans->cut = true;
}

/* Their addresses are free when nobody has them any more. */
static void close_formers(struct orphans *orphans)
{
    for (size_t i = 0; i < orphans->former_count; i++)
        listener_leave(&orphans->formers[i]);
    orphans->former_count = 0;
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct master *master = timer->data;
    struct orphans *orphans = &master->orphans;
    int next_ms = LOOK_MS;
    (void)events;
    if (!orphans->cut && clock_now_ms() >= orphans->deadline_ms) {
        kill_all(master, "its request is cut, graceful_timeout has passed");
    } else if (!orphans->cut) {
        next_ms = retire(orphans);
    }
    forget_gone(master);
    if (orphans->left == 0) {
        log_info("all %zu workers of a former master have gone", orphans->count);
        close_formers(orphans);
        master_orphans_gone(master);
        return;
    }
    ev_timer_set(timer, (double)next_ms / 1000.0, 0.0);
    ev_timer_start(loop, timer);
}

/* Its output has no reader since its master died, and the pipe may be full. */
static void read_output(struct master *master, struct orphan *orphan)
{
    pid_t pid = orphan->retirement.group;
    int fd = orphan->start ? adopt_pipe(pid, orphan->start, STDERR_FILENO) : -1;
    orphan->output = fd >= 0 ? output_of(OUTPUT_NO_SLOT, master->output_file, fd) : NULL;
    if (orphan->output)
        output_start(orphan->output, master->loop, pid);
}

/* Its master may have died while it was halted, or confined to one processor (see retire); on another one we
 * could not watch it. */
static void let_run(const struct orphan *orphan)
{
    enum proc_state state;
    cpu_set_t theirs, ours;
    if (orphan->start && sched_getaffinity(orphan->retirement.group, sizeof theirs, &theirs) == 0 &&
        CPU_COUNT(&theirs) == 1 && sched_getaffinity(0, sizeof ours, &ours) == 0)
        (void)sched_setaffinity(orphan->retirement.group, sizeof ours, &ours);
    if (orphan->start && proc_state(orphan->retirement.group, &state) == 0 && state == PROC_STOPPED)
        (void)kill(-orphan->retirement.group, SIGCONT);
}

void orphans_start(struct master *master)
{
    struct orphans *orphans = &master->orphans;
    char names[160];
    if (orphans->former_count)
        orphans->shared = orphans->formers[0].cookie == master->listener.cookie;
    for (size_t i = orphans->shared; i < orphans->former_count; i++)
        if (orphans->formers[i].fd >= 0)
            listener_refuse(&orphans->formers[i]);
    ev_init(&orphans->timer, on_timer);
    orphans->timer.data = master;
    if (orphans->left == 0) {
        close_formers(orphans);
        return;
    }
    orphans_names(orphans, names, sizeof names);
    log_warning("%zu workers of a former master, which has died, %s: pid %s", orphans->left,
                orphans->shared ? "serve on until others do"
                                : "finish what they have and what waits for them",
                names);
    for (size_t i = 0; i < orphans->count; i++) {
        let_run(&orphans->items[i]);
        read_output(master, &orphans->items[i]);
    }
}

void orphans_notify(struct master *master)
{
    struct orphans *orphans = &master->orphans;
    const struct policy *policy = &master->policy;
    bool stopping = policy->state >= POOL_STOPPING;
    if (orphans->left == 0 || orphans->retiring ||
        !(stopping || !orphans->shared ||
          (policy->state == POOL_RUNNING && policy_count(policy, SLOT_SERVING) >= policy->wanted)))
        return;
    orphans->retiring = true;
    orphans->deadline_ms = clock_now_ms() + policy->settings->graceful_timeout_ms;
    log_info("%zu workers of a former master are retired", orphans->left);
    ev_timer_set(&orphans->timer, 0.0, 0.0);
    ev_timer_start(master->loop, &orphans->timer);
}

void orphans_kill(struct master *master)
{
    kill_all(master, "quick stop");
    orphans_notify(master);
}

void orphans_fini(struct master *master)
{
    struct orphans *orphans = &master->orphans;
    ev_timer_stop(master->loop, &orphans->timer);
    for (size_t i = 0; i < orphans->count; i++) {
        if (!orphans->items[i].gone && orphans->items[i].retirement.phase == RETIREMENT_HALT)
            retire_cancel(&orphans->items[i].retirement);
        output_stop(orphans->items[i].output, master->loop);
    }
    close_formers(orphans);
    free(orphans->items);
    free(orphans->formers);
    *orphans = (struct orphans){.items = NULL};
}
