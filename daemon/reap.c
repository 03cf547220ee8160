/* Reaping; see reap.h. */
#include "daemon/reap.h"

#include "daemon/base/clock.h"
#include "daemon/kernel/proc.h"
#include "daemon/master.h"
#include "daemon/observe.h"
#include "daemon/recent.h"
#include "daemon/retirements.h"
#include "pool/host.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Strays may have children, which come to us when they are killed. */
#define STRAY_ROUNDS  10
#define STRAY_WAIT_MS 100

/* The slot of the worker with this pid, or slot_count. */
static uint32_t slot_of(const struct master *master, pid_t pid)
{
    uint32_t slot = 0;
    while (slot < master->policy.slot_count && master->workers[slot].pid != pid)
        slot++;
    return slot;
}

/* "SEGV"; "RT" for a real-time signal, which has no name. */
static const char *signal_name(int number)
{
    const char *name = sigabbrev_np(number);
    return name ? name : "RT";
}

/* What the exit codes of the application host mean. */
static const char *meaning(int code)
{
    return code == HOST_EXIT_BOOT   ? " (the application could not start)"
           : code == HOST_EXIT_LOAD ? " (the application could not be loaded)"
                                    : "";
}

void reap_describe(const siginfo_t *death, bool is_host, char *ret_text, size_t size)
{
    if (death->si_code == CLD_EXITED)
        snprintf(ret_text, size, "exited with code %d%s", death->si_status,
                 is_host ? meaning(death->si_status) : "");
    else
        snprintf(ret_text, size, "was killed by signal %d (SIG%s)%s", death->si_status,
                 signal_name(death->si_status), death->si_code == CLD_DUMPED ? ", core dumped" : "");
}

/* "3.120 s, after 17 requests" */
static void describe_life(const struct worker *worker, int64_t age_ms, char *ret_text, size_t size)
{
    int length = snprintf(ret_text, size, "%.3f s", (double)age_ms / 1000.0);
    if (worker_tells(worker))
        snprintf(ret_text + length, size - (size_t)length, ", after %" PRIu64 " requests",
                 worker_requests(worker));
}

static void log_death(struct master *master, uint32_t index, const siginfo_t *death)
{
    const struct slot *slot = &master->policy.slots[index];
    char how[80], life[80];
    describe_life(&master->workers[index], clock_now_ms() - slot->spawned_ms, life, sizeof life);
    if (master->workers[index].retirement.phase == RETIREMENT_DONE)
        snprintf(how, sizeof how, "was idle and is ended");
    else
        reap_describe(death, master->workers[index].is_host, how, sizeof how);
    if (!slot_is_leaving(slot))
        recent_add("worker %u pid %ld %s", index, (long)death->si_pid, how);
    if (slot_is_leaving(slot))
        log_info("worker %u pid %ld %s at the age of %s, asked to leave: %s", index, (long)death->si_pid, how,
                 life, reason_text(slot->reason));
    else
        log_limited(&master->limit_exits, LOG_LEVEL_WARNING,
                    "worker %u pid %ld %s at the age of %s, unasked, %s", index, (long)death->si_pid, how,
                    life, slot->state == SLOT_STARTING ? "before it accepted" : "while it served");
}

static enum exit_cause cause_of(const siginfo_t *death, uint64_t requests)
{
    if (death->si_code != CLD_EXITED)
        return EXIT_CAUSE_SIGNAL;
    if (death->si_status)
        return EXIT_CAUSE_CODE;
    return requests ? EXIT_CAUSE_SERVED : EXIT_CAUSE_CLEAN;
}

void reap_worker(struct master *master, uint32_t slot, enum exit_cause cause)
{
    struct worker *worker = &master->workers[slot];
    output_stop(worker->output, master->loop);
    requests_gone(master, slot);
    pages_drop(&master->pages, worker->page);
    *worker = (struct worker){0};
    master_event(master, EVENT_EXITED, slot, cause);
    load_adjust(master);
}

/* The worker is a zombie still, so its pid and its process group are nobody else's yet. */
static void bury_worker(struct master *master, uint32_t index, const siginfo_t *death)
{
    struct worker *worker = &master->workers[index];
    uint64_t start;
    bool goes_on = retirements_go_on(master, index);
    observe_last(master, index); /* who is left of the group is killed after that */
    if (!goes_on) {
        kill(-worker->pid, SIGKILL);
        /* What it has written last comes before what became of it. */
        output_stop(worker->output, master->loop);
        worker->output = NULL;
    }
    log_death(master, index, death);
    hooks_exited(master, index, death);
    int result = proc_start(worker->pid, &start);
    master_note(master, result ? result : state_drop(&master->state, worker->pid, start));
    waitpid(worker->pid, NULL, WNOHANG);
    if (!goes_on)
        reap_worker(master, index, cause_of(death, worker_requests(worker)));
}

/* A worker's child whose parent has gone; the last one of a group that was waited for, perhaps. */
static void bury_child(struct master *master, pid_t pid)
{
    waitpid(pid, NULL, WNOHANG);
    if (policy_count(&master->policy, SLOT_RETIRING) || policy_count(&master->policy, SLOT_KILLING))
        retirements_start(master);
}

/* False: nobody has died. */
static bool bury_next(struct master *master)
{
    siginfo_t death = {0};
    if (waitid(P_ALL, 0, &death, WEXITED | WNOHANG | WNOWAIT) || !death.si_pid)
        return false;
    uint32_t slot = slot_of(master, death.si_pid);
    if (slot < master->policy.slot_count)
        bury_worker(master, slot, &death);
    else if (!upgrade_ended(master, &death) && !hooks_reap(master, &death) && !template_ended(master, &death))
        bury_child(master, death.si_pid);
    return true;
}

void reap(struct master *master)
{
    observe_exits(master);
    while (bury_next(master))
        ;
}

struct strays {
    const struct listeners *listeners;
    pid_t heir;
    size_t count;
};

static int is_listener(pid_t pid, int fd, uint64_t inode, void *context)
{
    const struct strays *strays = context;
    (void)pid, (void)fd;
    const struct bound *bound = NULL;
    do {
        bound = listeners_next(strays->listeners, bound);
    } while (bound && bound->listener.inode != inode);
    return bound != NULL;
}

static int kill_stray(pid_t pid, void *context)
{
    struct strays *strays = context;
    if (pid != strays->heir && proc_each_socket(pid, is_listener, strays) > 0 && kill(pid, SIGKILL) == 0) {
        log_warning("pid %ld, left behind by a worker, is killed", (long)pid);
        strays->count++;
    }
    return 0;
}

void reap_strays(struct master *master)
{
    const pid_t heir = upgrade_has_heir(master) ? master->upgrade.pid : 0;
    const struct timespec pause = {.tv_nsec = 1000000};
    for (int round = 0; round < STRAY_ROUNDS; round++) {
        struct strays strays = {.listeners = &master->listeners, .heir = heir};
        if (proc_each_child(getpid(), kill_stray, &strays) < 0 || strays.count == 0)
            return;
        for (int waits = 0; strays.count > 0 && waits < STRAY_WAIT_MS; waits++) {
            while (bury_next(master))
                strays.count -= strays.count > 0;
            nanosleep(&pause, NULL);
        }
    }
}
