/* The master's half of the commands; see commands.h. */
#include "daemon/commands.h"

#include "daemon/base/exit_code.h"
#include "daemon/control_request.h"
#include "daemon/logs.h"
#include "daemon/master.h"
#include "daemon/status.h"

#include <string.h>

typedef void command_function(struct master *master, struct control_client *client, const json_t *args);

/* ---- status: at once, or when the pool is ready ---- */

static void wait_ready(struct master *master, struct control_client *client)
{
    const struct policy *policy = &master->policy;
    if (policy->state >= POOL_STOPPING)
        control_error(client, EXIT_FAILED, "the pool is stopping");
    else if (policy->resting)
        control_error(client, EXIT_FAILED, "the pool is paused");
    else if (policy_count(policy, SLOT_SERVING))
        control_result(client, status_json(master));
    else if (policy->state == POOL_FAILING)
        control_error(client, EXIT_FAILED, "the pool is failing: workers fail to start; see the log");
    else
        control_progress(client, json_pack("{s:s}", "state", pool_state_name(policy->state)));
}

static void command_status(struct master *master, struct control_client *client, const json_t *args)
{
    const json_t *wait = json_object_get(args, "wait");
    const char *state = json_string_value(wait);
    if (!wait) {
        control_result(client, status_json(master));
    } else if (!state || strcmp(state, "ready") != 0) {
        control_error(client, EXIT_USAGE, "status can wait for \"ready\" only");
    } else {
        control_wait_for(client, wait_ready);
        wait_ready(master, client);
    }
}

/* ---- scale and resume: done when the workers that are wanted serve and no surplus is left, whoever is
 * recycled meanwhile ---- */

static uint32_t workers_leaving(const struct policy *policy)
{
    return policy_live(policy) - (uint32_t)policy_capacity(policy);
}

static void wait_scale(struct master *master, struct control_client *client)
{
    const struct policy *policy = &master->policy;
    int64_t serving = policy_count(policy, SLOT_SERVING);
    uint32_t leaving = workers_leaving(policy);
    if (policy->state >= POOL_STOPPING)
        control_error(client, EXIT_FAILED, "the pool was stopped meanwhile");
    else if (policy->state == POOL_FAILING && serving < policy->wanted)
        control_error(client, EXIT_FAILED, "workers fail to start; see the log");
    else if (policy->resting)
        control_result(client, json_pack("{s:I,s:b}", "workers", (json_int_t)policy->wanted, "paused", 1));
    else if (policy_is_settled(policy))
        control_result(client, json_pack("{s:I,s:b}", "workers", (json_int_t)policy->wanted, "paused", 0));
    else
        control_progress(client, json_pack("{s:I,s:I,s:I}", "serving", (json_int_t)serving, "wanted",
                                           (json_int_t)policy->wanted, "leaving", (json_int_t)leaving));
}

static void command_scale(struct master *master, struct control_client *client, const json_t *args)
{
    struct problem problem;
    int64_t low, high, number;
    bool relative;
    policy_scale_range(&master->policy, &low, &high);
    int code = control_request_scale(args, low, high, &number, &relative, &problem);
    if (code) {
        control_error(client, code, "%s", problem.text);
        return;
    }
    control_wait_for(client, wait_scale);
    log_info(relative ? "scale %+lld: asked for by command" : "scale %lld: asked for by command",
             (long long)number);
    master_scale(master, number, relative);
}

static void wait_resume(struct master *master, struct control_client *client)
{
    if (master->policy.resting)
        control_error(client, EXIT_FAILED, "the pool was paused meanwhile");
    else
        wait_scale(master, client);
}

static void command_resume(struct master *master, struct control_client *client, const json_t *args)
{
    (void)args;
    control_wait_for(client, wait_resume);
    log_info("resume: asked for by command");
    master_event(master, EVENT_RESUME, 0, 0);
}

/* ---- reload: done when all that serve are of the new generation ---- */

static void wait_reload(struct master *master, struct control_client *client)
{
    const struct policy *policy = &master->policy;
    struct reload *reload = &master->reload;
    if (policy->state >= POOL_STOPPING)
        control_error(client, EXIT_FAILED, "the pool was stopped meanwhile");
    else if (reload->phase == RELOAD_FAILED && !reload_settles(reload))
        control_error(client, reload->code, "%s", reload->reason);
    else if (reload->phase == RELOAD_DONE)
        control_result(client, json_pack("{s:I}", "generation", (json_int_t)policy->generation));
    else if (policy->resting)
        control_error(client, EXIT_FAILED,
                      "the pool was paused before all workers were replaced; the others follow when it is "
                      "resumed");
    else
        control_progress(client, reload_json(master));
}

static void command_reload(struct master *master, struct control_client *client, const json_t *args)
{
    struct problem problem;
    (void)args;
    log_info("reload: asked for by command");
    int code = reload(master, &problem);
    if (code) {
        control_error(client, code, "%s", problem.text);
        return;
    }
    control_wait_for(client, wait_reload);
    wait_reload(master, client);
}

/* ---- upgrade: done when this master has gone, and the new one with it is the pool's ---- */

static void wait_upgrade(struct master *master, struct control_client *client)
{
    const struct upgrade *upgrade = &master->upgrade;
    if (upgrade->phase == UPGRADE_FAILED)
        control_error(client, upgrade->code, "%s", upgrade->reason);
    else if (master->policy.state == POOL_STOPPED && upgrade_has_heir(master))
        control_result(client, json_pack("{s:I}", "pid", (json_int_t)upgrade->pid));
    else if (master->policy.state >= POOL_STOPPING && !upgrade_has_heir(master))
        control_error(client, EXIT_FAILED, "the pool was stopped meanwhile");
    else
        control_progress(client, upgrade_json(master));
}

static void command_upgrade(struct master *master, struct control_client *client, const json_t *args)
{
    struct problem problem;
    (void)args;
    log_info("upgrade: asked for by command");
    int code = upgrade_start(master, true, &problem);
    if (code) {
        control_error(client, code, "%s", problem.text);
        return;
    }
    control_wait_for(client, wait_upgrade);
    wait_upgrade(master, client);
}

/* ---- pause: done when no worker is left ---- */

static void wait_pause(struct master *master, struct control_client *client)
{
    const struct policy *policy = &master->policy;
    uint32_t live = policy_live(policy);
    if (policy->state >= POOL_STOPPING)
        control_error(client, EXIT_FAILED, "the pool was stopped meanwhile");
    else if (!policy->resting)
        control_error(client, EXIT_FAILED, "the pool was resumed meanwhile");
    else if (!live)
        control_result(client, json_object());
    else
        control_progress(client, json_pack("{s:I}", "workers", (json_int_t)live));
}

static void command_pause(struct master *master, struct control_client *client, const json_t *args)
{
    (void)args;
    control_wait_for(client, wait_pause);
    log_info("pause: asked for by command");
    master_event(master, EVENT_PAUSE, 0, 0);
}

/* ---- reopen ---- */

static void command_reopen(struct master *master, struct control_client *client, const json_t *args)
{
    struct problem problem;
    (void)args;
    log_info("reopen: asked for by command");
    if (logs_reopen(master, &problem))
        control_error(client, EXIT_FAILED, "%s", problem.text);
    else
        control_result(client, json_object());
}

/* ---- stop: answered by master_run at the very end ---- */

static void wait_stop(struct master *master, struct control_client *client)
{
    const struct policy *policy = &master->policy;
    if (policy->state == POOL_STOPPED)
        control_result(client, json_object());
    else
        control_progress(client, json_pack("{s:I}", "workers", (json_int_t)policy_live(policy)));
}

static void command_stop(struct master *master, struct control_client *client, const json_t *args)
{
    bool quick = json_is_true(json_object_get(args, "quick"));
    control_wait_for(client, wait_stop);
    if (!quick && master->policy.state >= POOL_STOPPING) {
        /* A second TERM means "quick", a second command does not; the end may be waiting for hooks. */
        if (master->policy.state != POOL_STOPPED)
            wait_stop(master, client);
        return;
    }
    log_info("stop%s: asked for by command", quick ? " --quick" : "");
    upgrade_end(master); /* unlike TERM, which is for one master, this is for the pool */
    master_event(master, quick ? EVENT_STOP_QUICK : EVENT_STOP, 0, 0);
}

/* ---- dispatch ---- */

static const struct {
    const char *name;
    command_function *run;
    bool while_stopping;
} commands[] = {
    {"status", command_status, true},  {"scale", command_scale, false},     {"pause", command_pause, false},
    {"resume", command_resume, false}, {"stop", command_stop, true},        {"reopen", command_reopen, true},
    {"reload", command_reload, false}, {"upgrade", command_upgrade, false},
};

void commands_run(struct master *master, struct control_client *client, const char *command,
                  const json_t *args)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(command, commands[i].name) != 0)
            continue;
        if (master->policy.state >= POOL_STOPPING && !commands[i].while_stopping)
            control_error(client, EXIT_NOT_NOW, "the pool is stopping");
        else
            commands[i].run(master, client, args);
        return;
    }
    control_error(client, EXIT_USAGE, "unknown command \"%s\"", command);
}
