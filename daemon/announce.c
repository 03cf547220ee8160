/* Telling how the pool fares; see announce.h. */
#include "daemon/announce.h"

#include "daemon/master.h"
#include "daemon/recent.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void announce_init(struct announce *ret_announce)
{
    static const char *const ours[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"};
    *ret_announce = (struct announce){.detach = DETACH_INIT};
    notify_take(&ret_announce->notify);
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        unsetenv(ours[i]);
}

/* Somebody waits for it to become ready, and wants to know why it does not. */
static bool is_awaited(const struct master *master)
{
    return detach_waits(&master->announce->detach) || inherit_is_awaited(master);
}

void announce_start(struct master *master)
{
    struct announce *announce = master->announce;
    if (is_awaited(master))
        recent_start();
    /* Two masters must not speak for one pool. */
    if (master->inheritance->waits)
        return;
    notify_start(&announce->notify, master->loop);
    if (announce->ready)
        notify_ready(&announce->notify);
}

/* Who is told of another main process listens to this one no more. */
void announce_stop(struct master *master)
{
    struct notify *notify = &master->announce->notify;
    if (upgrade_has_heir(master))
        notify_mainpid(notify, master->upgrade.pid);
    notify_stop(notify);
}

/* Standard error is about to lead nowhere, and the log has a descriptor of its own for it. */
static void leave_standard_error(const struct master *master)
{
    if (!conf_text(master->conf, SETTING_ID_LOG_FILE) && log_open("/dev/null"))
        log_warning("the log stays on standard error: /dev/null cannot be opened");
}

static void become_ready(struct master *master)
{
    struct announce *announce = master->announce;
    announce->ready = true;
    notify_ready(&announce->notify);
    hooks_pool(master, SETTING_ID_HOOK_WHEN_READY);
    if (!is_awaited(master))
        return;
    recent_stop();
    if (!detach_waits(&announce->detach))
        return;
    leave_standard_error(master);
    detach_ready(&announce->detach);
}

static void give_up(struct master *master)
{
    master->announce->failed = true;
    log_error("pool %s is stopped: it did not become ready", master->name);
    master_event(master, EVENT_STOP_QUICK, 0, 0);
}

void announce_state(struct master *master)
{
    struct announce *announce = master->announce;
    enum pool_state state = master->policy.state;
    if (state == POOL_RUNNING && !announce->ready)
        become_ready(master);
    else if (state == POOL_FAILING && is_awaited(master))
        give_up(master);
    else if (state >= POOL_STOPPING && !announce->stopping && !upgrade_has_heir(master))
        notify_stopping(&announce->notify);
    announce->stopping = state >= POOL_STOPPING;
}

static void describe(const struct policy *policy, char *ret_text, size_t size)
{
    const char *state = pool_state_name(policy->state);
    uint32_t serving = policy_count(policy, SLOT_SERVING);
    uint32_t live = policy_live(policy);
    if (policy->state == POOL_FAILING)
        snprintf(ret_text, size, "%s: workers fail to start; see the log", state);
    else if (policy->state >= POOL_STOPPING)
        snprintf(ret_text, size, "%s: %" PRIu32 " %s left", state, live,
                 live == 1 ? "worker is" : "workers are");
    else if (serving >= policy->wanted)
        snprintf(ret_text, size, "%s: %" PRIu32 " %s", state, serving,
                 serving == 1 ? "worker serves" : "workers serve");
    else
        snprintf(ret_text, size, "%s: %" PRIu32 " of %" PRId64 " workers serve", state, serving,
                 policy->wanted);
}

/* A reload, and what takes one back. */
static bool reloads(struct master *master)
{
    return reload_is_under_way(&master->reload) || reload_settles(&master->reload);
}

/* How the last reload is going or went; why is in the log. */
static const char *describe_reload(struct master *master)
{
    if (master->policy.state >= POOL_STOPPING)
        return "";
    if (reloads(master))
        return "; reloading";
    if (master->reload.phase == RELOAD_NEVER)
        return "";
    return master->reload.phase == RELOAD_DONE ? "; reloaded" : "; the last reload failed, see the log";
}

void announce_reload(struct master *master)
{
    struct announce *announce = master->announce;
    if (!announce->ready || announce->stopping || !notify_is_on(&announce->notify))
        return;
    announce->reloading = true;
    notify_reloading(&announce->notify);
}

void announce_workers(struct master *master)
{
    struct announce *announce = master->announce;
    char workers[NOTIFY_STATUS_SIZE / 2], text[NOTIFY_STATUS_SIZE];
    if (!notify_is_on(&announce->notify))
        return;
    describe(&master->policy, workers, sizeof workers);
    snprintf(text, sizeof text, "%s%s", workers, describe_reload(master));
    notify_status(&announce->notify, text);
    if (!announce->reloading || reloads(master))
        return;
    announce->reloading = false;
    if (!announce->stopping)
        notify_ready(&announce->notify);
}

/* The log, with all that tells why workers do not come up, went to where announce_failure writes. */
static bool was_seen(const struct conf *conf)
{
    return !conf_text(conf, SETTING_ID_LOG_FILE) &&
           log_level_parse(conf_text(conf, SETTING_ID_LOG_LEVEL)) <= LOG_LEVEL_WARNING &&
           strcmp(conf_text(conf, SETTING_ID_WORKER_OUTPUT), "log") == 0;
}

bool announce_failure(const struct announce *announce, const struct conf *conf, bool apart)
{
    const char *file = conf_text(conf, SETTING_ID_LOG_FILE);
    if (!announce->failed)
        return false;
    fprintf(stderr, "fcgipool: pool %s did not become ready: workers fail to start; ",
            conf_text(conf, SETTING_ID_NAME));
    if (!apart && was_seen(conf)) {
        fputs("see above\n", stderr);
        return true;
    }
    if (file)
        fprintf(stderr, "the last of it (more is in %s):\n", file);
    else
        fputs("the last of it:\n", stderr);
    recent_print(stderr);
    return true;
}
