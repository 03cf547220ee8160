/* Upgrade, the old master's half; see upgrade.h. */
#include "daemon/upgrade.h"

#include "daemon/base/exit_code.h"
#include "daemon/base/fd.h"
#include "daemon/base/memory.h"
#include "daemon/base/origin.h"
#include "daemon/base/pidfile.h"
#include "daemon/handover.h"
#include "daemon/listen.h"
#include "daemon/master.h"
#include "daemon/status.h"
#include "daemon/upgrade_end.h"
#include "daemon/upgrade_run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Beyond what its first worker may take to start, and beyond what its workers may take to leave. */
#define SPARE_MS 5000
/* ---- how it goes ---- */

static void enter(struct upgrade *upgrade, enum upgrade_phase phase)
{
    free(upgrade->reason);
    upgrade->reason = NULL;
    upgrade->code = 0;
    upgrade->phase = phase;
}

static void close_watcher(struct master *master, ev_io *watcher)
{
    ev_io_stop(master->loop, watcher);
    fd_close(&watcher->fd);
    ev_io_set(watcher, -1, EV_READ);
}

static void set_limit(struct master *master, int64_t limit_ms)
{
    ev_timer *limit = &master->upgrade.limit;
    ev_timer_stop(master->loop, limit);
    ev_now_update(master->loop);
    ev_timer_set(limit, (double)limit_ms / 1000.0, 0.0);
    ev_timer_start(master->loop, limit);
}

static void on_limit(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct upgrade *upgrade = &((struct master *)timer->data)->upgrade;
    (void)loop, (void)events;
    upgrade->too_late = true;
    (void)kill(upgrade->pid, SIGKILL);
}

bool upgrade_has_heir(const struct master *master)
{
    const struct upgrade *upgrade = &master->upgrade;
    return upgrade->pid && (upgrade->phase == UPGRADE_READY || upgrade->phase == UPGRADE_SETTLED);
}

bool upgrade_leaves_listener(const struct master *master)
{
    return upgrade_has_heir(master) && master->upgrade.shared;
}

bool upgrade_holds(const struct master *master)
{
    return master->upgrade.pid && !upgrade_has_heir(master);
}

/* ---- what it says ---- */

/* From now on it looks after itself: its workers have their own limits, and it leaves if they fail. */
static void note_start(struct master *master, const json_t *message)
{
    struct upgrade *upgrade = &master->upgrade;
    const char *pidfile = json_string_value(json_object_get(message, "pidfile"));
    ev_timer_stop(master->loop, &upgrade->limit);
    upgrade->started = true;
    upgrade->pidfile = pidfile ? memory_must(strdup(pidfile)) : NULL;
}

static void become_ready(struct master *master, const json_t *message)
{
    struct upgrade *upgrade = &master->upgrade;
    upgrade->shared = json_is_true(json_object_get(message, "shared"));
    upgrade->served = true;
    upgrade->phase = UPGRADE_READY;
    log_info("upgrade: the new master, pid %ld, serves%s", (long)upgrade->pid,
             upgrade->shared ? "" : " at another address");
    if (*upgrade->complaint)
        log_warning("upgrade: the new master says: %s", upgrade->complaint);
}

/* Nobody takes our place any more. One that has said that it does, and leaves in order, serves what waits. */
static void lose(struct master *master)
{
    struct upgrade *upgrade = &master->upgrade;
    upgrade->phase = UPGRADE_LEAVING;
    if (upgrade->asked)
        listen_refuse(master);
    upgrade->asked = false;
}

/* It has died. If it had said that it takes our place, our workers have been told to go. */
static void lose_suddenly(struct master *master)
{
    struct upgrade *upgrade = &master->upgrade;
    upgrade->bereft = master->policy.state >= POOL_STOPPING && !upgrade->asked;
    if (upgrade->bereft) {
        log_error(
            "upgrade: the new master, pid %ld, has died, and this one had begun to leave: the pool stops",
            (long)upgrade->pid);
        if (upgrade->shared)
            (void)!listener_refuse(&listeners_current(master)->listener);
    }
    lose(master);
}

void upgrade_ask(struct master *master)
{
    master->upgrade.asked = true;
    handover_send(master->upgrade.link.fd, json_pack("{s:s}", "ask", "take"));
}

static void take_answer(struct master *master)
{
    if (!master->upgrade.asked)
        return;
    master->upgrade.asked = false;
    log_info("upgrade: the new master, pid %ld, takes the place of this one", (long)master->upgrade.pid);
    master_event(master, EVENT_QUEUE_EMPTY, 0, 0);
}

static void settle(struct master *master)
{
    struct upgrade *upgrade = &master->upgrade;
    upgrade->phase = UPGRADE_SETTLED;
    if (!upgrade->leaves || master->policy.state >= POOL_STOPPING)
        return;
    log_info("upgrade: the new master, pid %ld, has all its workers; this one leaves", (long)upgrade->pid);
    master_event(master, EVENT_STOP, 0, 0);
}

static void take_message(struct master *master, const json_t *message)
{
    enum upgrade_phase phase = master->upgrade.phase;
    const char *text = json_string_value(json_object_get(message, "state"));
    const char *state = text ? text : "";
    if (phase == UPGRADE_STARTING && strcmp(state, "started") == 0)
        note_start(master, message);
    else if (phase == UPGRADE_STARTING && strcmp(state, "ready") == 0)
        become_ready(master, message);
    else if (phase == UPGRADE_READY && strcmp(state, "settled") == 0)
        settle(master);
    else if (strcmp(state, "takes") == 0)
        take_answer(master);
    else if (phase < UPGRADE_LEAVING && strcmp(state, "leaving") == 0)
        lose(master);
}

/* True until the other end is closed. */
static bool read_link(struct master *master)
{
    json_t *message;
    int result;
    while ((result = handover_receive(master->upgrade.link.fd, &message)) == 0) {
        take_message(master, message);
        json_decref(message);
    }
    return result == -EAGAIN;
}

static void on_link(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct master *master = watcher->data;
    (void)events;
    if (!read_link(master))
        ev_io_stop(loop, watcher); /* its end will be reaped */
    control_notify(&master->control);
}

static void on_complaint(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct master *master = watcher->data;
    (void)events;
    ssize_t length = upgrade_read_complaint(&master->upgrade);
    if (length == 0 || (length < 0 && errno != EAGAIN && errno != EINTR))
        ev_io_stop(loop, watcher);
}

/* ---- the start ---- */

/* Why there can be none now. Returns 0 or an exit code. */
static int refuse(const struct master *master, struct problem *problem)
{
    const struct inheritance *inheritance = master->inheritance;
    if (getpid() == 1)
        return problem_set(problem, EXIT_FAILED,
                           "process 1 of a container cannot be replaced by another one");
    if (!origin_get()->directory)
        return problem_set(problem, EXIT_FAILED,
                           "the directory that the master was started in had gone by then");
    if (master->policy.state >= POOL_STOPPING)
        return problem_set(problem, EXIT_NOT_NOW, "the pool is stopping");
    if (inheritance->waits)
        return problem_set(problem, EXIT_NOT_NOW,
                           "this is the new master of an upgrade; the former one is still there");
    if (master->upgrade.pid)
        return problem_set(problem, EXIT_NOT_NOW, "an upgrade is under way: its new master is pid %ld",
                           (long)master->upgrade.pid);
    if (master->policy.resting)
        return problem_set(problem, EXIT_NOT_NOW, "the pool is paused; resume it first");
    if (reload_is_under_way(&master->reload))
        return problem_set(problem, EXIT_NOT_NOW, "a reload is under way");
    if (listeners_count(&master->listeners) > 1)
        return problem_set(problem, EXIT_NOT_NOW, "the pool is about to leave an address");
    return 0;
}

static void begin(struct master *master, bool leaves)
{
    struct upgrade *upgrade = &master->upgrade;
    enter(upgrade, UPGRADE_STARTING);
    upgrade->leaves = leaves;
    upgrade->started = upgrade->served = upgrade->shared = upgrade->too_late = upgrade->asked = false;
    upgrade->complaint[0] = '\0';
    free(upgrade->pidfile);
    upgrade->pidfile = NULL;
}

static void fail(struct upgrade *upgrade, int code, const char *reason)
{
    log_error("upgrade: %s", reason);
    enter(upgrade, UPGRADE_FAILED);
    upgrade->code = code;
    upgrade->reason = memory_must(strdup(reason));
}

int upgrade_start(struct master *master, bool leaves, struct problem *problem)
{
    struct upgrade *upgrade = &master->upgrade;
    int64_t start_ms = master->settings.start_timeout_ms;
    int code = refuse(master, problem);
    if (code) {
        log_error("upgrade: %s", problem->text);
        return code;
    }
    begin(master, leaves);
    hooks_pool(master, SETTING_ID_HOOK_PRE_EXEC);
    if (upgrade_run(master, problem)) {
        fail(upgrade, EXIT_FAILED, problem->text);
        return EXIT_FAILED;
    }
    if (start_ms)
        set_limit(master, start_ms + SPARE_MS);
    log_info("upgrade: %s was started as the new master, pid %ld", origin_get()->program, (long)upgrade->pid);
    return 0;
}

/* ---- the end ---- */

bool upgrade_ended(struct master *master, const siginfo_t *death)
{
    struct upgrade *upgrade = &master->upgrade;
    if (!upgrade->pid || death->si_pid != upgrade->pid)
        return false;
    (void)read_link(master);
    if (upgrade_has_heir(master))
        lose_suddenly(master);
    char *reason __attribute__((cleanup(memory_free_text))) = upgrade_end_reason(upgrade, death);
    fail(upgrade, upgrade_end_code(death), reason);
    ev_timer_stop(master->loop, &upgrade->limit);
    close_watcher(master, &upgrade->link);
    close_watcher(master, &upgrade->complaints);
    upgrade_clear_up(master);
    waitpid(upgrade->pid, NULL, WNOHANG);
    upgrade->pid = 0;
    master_end_if_done(master);
    control_notify(&master->control);
    return true;
}

static void end_by(struct master *master, int number, int64_t limit_ms)
{
    struct upgrade *upgrade = &master->upgrade;
    if (!upgrade->pid)
        return;
    upgrade->phase = UPGRADE_LEAVING;
    ev_io_stop(master->loop, &upgrade->link); /* that it becomes ready is too late */
    (void)kill(upgrade->pid, number);
    set_limit(master, limit_ms);
}

/* One that leaves already would take another TERM for a quick stop. */
void upgrade_end(struct master *master)
{
    if (master->upgrade.phase != UPGRADE_LEAVING)
        end_by(master, SIGTERM, master->settings.graceful_timeout_ms + SPARE_MS);
}

void upgrade_end_quick(struct master *master)
{
    if (!upgrade_has_heir(master))
        end_by(master, SIGQUIT, SPARE_MS);
}

void upgrade_at_stop(struct master *master)
{
    struct upgrade *upgrade = &master->upgrade;
    if (!upgrade->pid)
        return;
    /* It may have become ready this moment, or have gone. */
    if (!read_link(master) || !upgrade_has_heir(master))
        upgrade_end(master);
}

void upgrade_forward(const struct master *master, int number)
{
    if (master->upgrade.pid && master->upgrade.started)
        (void)kill(master->upgrade.pid, number);
}

json_t *upgrade_json(const struct master *master)
{
    static const char *const names[] = {"never", "starting", "ready", "settled", "leaving", "failed"};
    const struct upgrade *upgrade = &master->upgrade;
    if (upgrade->phase == UPGRADE_NEVER)
        return json_null();
    return json_pack("{s:s,s:o,s:s?}", "state", names[upgrade->phase], "pid",
                     upgrade->pid ? json_integer(upgrade->pid) : json_null(), "reason", upgrade->reason);
}

void upgrade_init(struct master *master)
{
    struct upgrade *upgrade = &master->upgrade;
    ev_io_init(&upgrade->link, on_link, -1, EV_READ);
    ev_io_init(&upgrade->complaints, on_complaint, -1, EV_READ);
    ev_timer_init(&upgrade->limit, on_limit, 0.0, 0.0);
    upgrade->link.data = upgrade->complaints.data = upgrade->limit.data = master;
}

void upgrade_bequeath(struct master *master)
{
    const char *pidfile = master->upgrade.pidfile;
    struct problem problem;
    if (!upgrade_has_heir(master))
        return;
    json_t *totals = status_totals_json(master);
    upgrade_add_floor(totals, &master->policy);
    handover_send(master->upgrade.link.fd, totals);
    if (pidfile) {
        char *second __attribute__((cleanup(memory_free_text))) = memory_text("%s.2", pidfile);
        if (pidfile_move(second, pidfile, &problem))
            log_warning("upgrade: %s", problem.text);
    }
}

void upgrade_stop(struct master *master)
{
    struct upgrade *upgrade = &master->upgrade;
    ev_timer_stop(master->loop, &upgrade->limit);
    close_watcher(master, &upgrade->link);
    close_watcher(master, &upgrade->complaints);
    free(upgrade->reason);
    free(upgrade->pidfile);
    upgrade->reason = upgrade->pidfile = NULL;
}
