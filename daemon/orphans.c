/* Workers of former masters; see orphans.h. */
#include "daemon/orphans.h"

#include "daemon/base/clock.h"
#include "daemon/base/memory.h"
#include "daemon/kernel/adopt.h"
#include "daemon/kernel/path_lock.h"
#include "daemon/master.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

/* How often to look whether the queue of an old socket is empty. */
#define QUEUE_MS 10
/* Who has gone is looked for so soon after a kill, then at pauses that double, for that reads all of /proc.
 */
#define LOOK_MIN_MS 10
#define LOOK_MAX_MS 1000

const struct listener *orphans_listener(const struct orphans *orphans)
{
    return orphans->former_count ? &orphans->formers[0] : NULL;
}

/* Whether one of those who are left accepts from it. */
static bool is_used(const struct orphans *orphans, size_t former)
{
    for (size_t i = 0; i < orphans->count; i++)
        if (!orphans->items[i].gone && orphans->items[i].former == former)
            return true;
    return false;
}

static bool is_among(const struct listener *listeners, size_t count, uint64_t cookie)
{
    for (size_t i = 0; i < count; i++)
        if (listeners[i].cookie == cookie)
            return true;
    return false;
}

size_t orphans_sockets(const struct orphans *orphans, const struct listener *ours, size_t count,
                       struct listener **ret_sockets)
{
    size_t own_count = count;
    struct listener *sockets = memory_must(calloc(count + orphans->former_count, sizeof *sockets));
    memcpy(sockets, ours, count * sizeof *sockets);
    for (size_t i = 0; i < orphans->former_count; i++)
        if (!is_among(ours, own_count, orphans->formers[i].cookie) && is_used(orphans, i))
            sockets[count++] = orphans->formers[i];
    *ret_sockets = sockets;
    return count;
}

static int record_sockets(const struct orphans *orphans, const struct listener *listener, struct state *state)
{
    struct listener *sockets;
    size_t count = orphans_sockets(orphans, listener, 1, &sockets);
    int result = state_name_sockets(state, sockets, count);
    free(sockets);
    return result;
}

static int record(const struct orphans *orphans, const struct orphan *orphan, struct state *state)
{
    const struct listener *former = &orphans->formers[orphan->former];
    struct state_record record = {.pid = orphan->retirement.group,
                                  .start = orphan->start,
                                  .inode = former->inode,
                                  .cookie = former->cookie};
    return orphan->gone || !orphan->start ? 0 : state_add(state, &record);
}

int orphans_record(const struct orphans *orphans, const struct listener *listener, struct state *state)
{
    int result = record_sockets(orphans, listener, state);
    for (size_t i = 0; i < orphans->count && result == 0; i++)
        result = record(orphans, &orphans->items[i], state);
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

static void forget(struct master *master, struct orphan *orphan)
{
    orphan->gone = true;
    master->orphans.left--;
    output_stop(orphan->output, master->loop);
    orphan->output = NULL;
    master_note(master, state_drop(&master->state, orphan->retirement.group, orphan->start));
}

/* They are nobody's children here, so their end is seen in /proc only. The number of a group is not given
 * away again while a process is in it. */
static void forget_gone(struct master *master, int64_t now_ms)
{
    struct orphans *orphans = &master->orphans;
    struct proc_table table = PROC_TABLE_INIT;
    orphans->look_due_ms = now_ms + orphans->look_ms;
    orphans->look_ms = 2 * orphans->look_ms < LOOK_MAX_MS ? 2 * orphans->look_ms : LOOK_MAX_MS;
    if (proc_table_read(&table) != 0)
        return;
    for (size_t i = 0; i < orphans->count; i++)
        if (!orphans->items[i].gone &&
            !orphan_lives(&orphans->items[i], &table, &orphans->formers[orphans->items[i].former]))
            forget(master, &orphans->items[i]);
    proc_table_fini(&table);
}

/* Somebody has left, or was killed. */
static void look_soon(struct orphans *orphans)
{
    orphans->look_ms = LOOK_MIN_MS;
    orphans->look_due_ms = clock_now_ms() + LOOK_MIN_MS;
}

/* Those who accept from one socket. Returns the delay to the next look. */
static int retire_of(struct orphans *orphans, size_t former, bool stopping, struct retirement **unseen)
{
    const struct listener *listener = &orphans->formers[former];
    size_t unseen_count = 0;
    if (!is_used(orphans, former))
        return LOOK_MAX_MS;
    /* What waits in a queue is reset when the last who could accept it goes; in ours it waits for others, as
     * it does in one that others keep. */
    bool kept = listener->foreign || (former == 0 && orphans->shared && !stopping);
    bool may_leave = kept || listener_is_empty(listener);
    for (size_t i = 0; i < orphans->count; i++) {
        struct orphan *orphan = &orphans->items[i];
        if (orphan->gone || orphan->former != former || orphan->retirement.phase == RETIREMENT_DONE ||
            !(may_leave || orphan->told) || !orphan_is_still(orphan))
            continue;
        if (!orphan_drain(orphan, listener, clock_now_ms()) && may_leave)
            unseen[unseen_count++] = &orphan->retirement;
        if (orphan->told && orphan_has_lost_leader(orphan))
            look_soon(orphans);
    }
    int delay_ms = unseen_count ? retire_tick(unseen, unseen_count, listener, clock_now_ms()) : QUEUE_MS;
    for (size_t i = 0; i < unseen_count; i++)
        if (unseen[i]->phase == RETIREMENT_DONE)
            look_soon(orphans);
    return delay_ms >= 0 && delay_ms < QUEUE_MS ? delay_ms : QUEUE_MS;
}

static int retire(struct master *master)
{
    struct orphans *orphans = &master->orphans;
    bool stopping = master->policy.state >= POOL_STOPPING && !master_shares_listener(master);
    struct retirement **unseen = memory_must(calloc(orphans->count, sizeof(struct retirement *)));
    int next_ms = LOOK_MAX_MS;
    for (size_t i = 0; i < orphans->former_count; i++) {
        int delay_ms = retire_of(orphans, i, stopping, unseen);
        next_ms = delay_ms < next_ms ? delay_ms : next_ms;
    }
    free(unseen);
    return next_ms;
}

static void kill_all(struct master *master, const char *why)
{
    struct orphans *orphans = &master->orphans;
    for (size_t i = 0; i < orphans->count; i++) {
        struct orphan *orphan = &orphans->items[i];
        if (orphan->gone || orphan->retirement.phase == RETIREMENT_DONE || !orphan_is_still(orphan))
            continue;
        log_warning("worker pid %ld of a former master is killed: %s", (long)orphan->retirement.group, why);
        (void)kill(-orphan->retirement.group, SIGKILL);
        orphan->retirement.phase = RETIREMENT_DONE;
    }
    orphans->cut = true;
    look_soon(orphans);
}

/* Their addresses are free when nobody has them any more. */
static void close_formers(struct orphans *orphans)
{
    for (size_t i = 0; i < orphans->former_count; i++)
        listener_leave(&orphans->formers[i]);
    orphans->former_count = 0;
}

/* Takes away a path that is not ours now, and the lock that a former master left beside it, if no other
 * master has come there. */
static void clear_path(struct listener *former, const struct listener *ours)
{
    const char *path = address_path(&former->address), *our_path = address_path(&ours->address);
    struct problem unused;
    bool fresh;
    if (path == NULL || (our_path && strcmp(path, our_path) == 0))
        return;
    int lock_fd = path_lock_take(path, &fresh, &unused);
    if (lock_fd < 0)
        return;
    if (!fresh)
        listener_hide(former);
    path_lock_release(path, lock_fd);
}

/* No new connection is to reach a socket that is not ours. */
static void refuse(struct listener *former, const struct listener *ours)
{
    if (former->foreign)
        return;
    clear_path(former, ours);
    if (former->fd >= 0)
        (void)listener_refuse(former);
    else /* where it can be kept from them at all: at our TCP address, which prefers our socket */
        former->refused_ms = clock_now_ms();
}

static void run_again(struct master *master, int64_t after_ms)
{
    ev_timer *timer = &master->orphans.timer;
    ev_timer_stop(master->loop, timer);
    ev_timer_set(timer, after_ms > 0 ? (double)after_ms / 1000.0 : 0.0, 0.0);
    ev_timer_start(master->loop, timer);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct master *master = timer->data;
    struct orphans *orphans = &master->orphans;
    int64_t now_ms = clock_now_ms();
    int next_ms = LOOK_MAX_MS;
    (void)loop, (void)events;
    if (now_ms >= orphans->look_due_ms)
        forget_gone(master, now_ms);
    if (orphans->left == 0) {
        log_info("all %zu workers of a former master have gone", orphans->count);
        close_formers(orphans);
        master_orphans_gone(master);
        return;
    }
    if (orphans->retiring && !orphans->cut && now_ms >= orphans->deadline_ms)
        kill_all(master, "its request is cut, graceful_timeout has passed");
    else if (orphans->retiring && !orphans->cut)
        next_ms = retire(master);
    int64_t look_in_ms = orphans->look_due_ms - now_ms;
    run_again(master, next_ms < look_in_ms ? next_ms : look_in_ms);
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

void orphans_start(struct master *master)
{
    struct orphans *orphans = &master->orphans;
    const struct listener *listener = &listeners_current(master)->listener;
    char names[160];
    if (orphans->former_count)
        orphans->shared = orphans->formers[0].cookie == listener->cookie;
    ev_init(&orphans->timer, on_timer);
    orphans->timer.data = master;
    if (orphans->left == 0) {
        for (size_t i = orphans->shared; i < orphans->former_count; i++)
            if (!orphans->formers[i].foreign && !listener_exists(&orphans->formers[i]))
                clear_path(&orphans->formers[i], listener);
        close_formers(orphans);
        return;
    }
    for (size_t i = orphans->shared; i < orphans->former_count; i++)
        refuse(&orphans->formers[i], listener);
    orphans_names(orphans, names, sizeof names);
    log_warning("%zu workers of a former master, which has died, %s: pid %s", orphans->left,
                orphans->shared ? "serve on until others do"
                                : "finish what they have and what waits for them",
                names);
    for (size_t i = 0; i < orphans->count; i++) {
        orphan_run(&orphans->items[i]);
        read_output(master, &orphans->items[i]);
    }
    orphans->look_ms = LOOK_MAX_MS;
    orphans->look_due_ms = clock_now_ms() + LOOK_MAX_MS;
    run_again(master, LOOK_MAX_MS);
}

void orphans_adopt(struct master *master, const char *path)
{
    struct orphans *orphans = &master->orphans;
    struct problem problem;
    if (orphans->left > 0) {
        log_warning("workers in %s are left alone, for those of another former master have not gone yet",
                    path);
        return;
    }
    orphans_fini(master);
    if (orphans_find_recorded(orphans, path, &problem))
        log_warning("%s", problem.text);
    for (size_t i = 0; i < orphans->count; i++)
        if (orphans->formers[orphans->items[i].former].cookie == listeners_current(master)->listener.cookie)
            master_note(master, record(orphans, &orphans->items[i], &master->state));
    orphans_start(master);
    orphans_notify(master);
}

void orphans_notify(struct master *master)
{
    struct orphans *orphans = &master->orphans;
    const struct policy *policy = &master->policy;
    bool leaving = policy->state >= POOL_PAUSED; /* the pool's own workers, too */
    if (orphans->left == 0 || orphans->retiring ||
        !(leaving || !orphans->shared ||
          (policy->state == POOL_RUNNING && policy_count(policy, SLOT_SERVING) >= policy->wanted)))
        return;
    orphans->retiring = true;
    orphans->deadline_ms = clock_now_ms() + policy->settings->graceful_timeout_ms;
    log_info("%zu workers of a former master are retired", orphans->left);
    run_again(master, 0);
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
        if (!orphans->items[i].gone && orphans->items[i].retirement.phase == RETIREMENT_HALT &&
            orphan_is_still(&orphans->items[i]))
            retire_cancel(&orphans->items[i].retirement);
        output_stop(orphans->items[i].output, master->loop);
    }
    close_formers(orphans);
    free(orphans->items);
    free(orphans->formers);
    *orphans = (struct orphans){.items = NULL};
}
