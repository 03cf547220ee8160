/* Reload; see reload.h. */
#include "daemon/reload.h"

#include "daemon/base/exit_code.h"
#include "daemon/base/memory.h"
#include "daemon/deal.h"
#include "daemon/listen.h"
#include "daemon/logs.h"
#include "daemon/master.h"
#include "daemon/recent.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* So many of the last lines that tell why workers do not come up are part of the reason. */
#define REASON_LINES 3

/* Said as `check` says it. Returns the first fault, NULL if there is none; owned by the caller. */
static char *log_problems(const struct problems *problems)
{
    char *first = NULL;
    for (size_t i = 0; i < problems->count; i++) {
        const struct problem *problem = &problems->items[i];
        char *text = NULL;
        size_t size;
        FILE *stream = memory_must(open_memstream(&text, &size));
        problem_print(problem, stream);
        fclose(stream);
        text[strcspn(text, "\n")] = '\0';
        log_line(problem->warning ? LOG_LEVEL_WARNING : LOG_LEVEL_ERROR, "reload: %s", text);
        if (first || problem->warning)
            free(text);
        else
            first = text;
    }
    return first;
}

/* ---- what has changed ---- */

/* The new master of an upgrade has the control socket of the former one, and is where that is. */
static bool is_for_upgrade(enum setting_id id)
{
    return id != SETTING_ID_NAME && id != SETTING_ID_CONTROL_SOCKET && id != SETTING_ID_daemon;
}

/* Names it, but for the address (name_move). Returns whether it has. */
static bool name_change(const struct master *master, const struct conf *new, enum setting_id id)
{
    const struct setting *setting = &settings_table[id];
    bool waits = setting->reload == RELOAD_RESTART;
    if (setting->reload == RELOAD_LISTEN || conf_equal(waits ? master->conf : master->live, new, id))
        return false;
    if (waits)
        log_warning("reload: %s has changed, which needs a restart%s; it stays as it was", setting->path,
                    is_for_upgrade(id) ? " or an upgrade" : "");
    else
        log_info("reload: %s %s", setting->path,
                 setting->reload == RELOAD_LIVE ? "is in effect" : "will be that of new workers");
    return !waits;
}

static bool name_move(const struct master *master, uint64_t place)
{
    char from[ADDRESS_TEXT_SIZE], to[ADDRESS_TEXT_SIZE];
    if (place == master->policy.place)
        return false;
    address_format(&listeners_current(master)->listener.address, from, sizeof from);
    address_format(&listeners_at(&master->listeners, place)->listener.address, to, sizeof to);
    log_info("reload: listen: the pool moves to %s; %s goes on until all workers serve there", to, from);
    return true;
}

/* The settings of class LIVE; the policy is told by `event`, ROLL_OUT of workers at `place`. */
static void put_in_effect(struct master *master, const struct conf *conf, enum event_type event,
                          uint64_t place)
{
    for (enum setting_id id = 0; id < SETTING_IDS; id++)
        if (settings_table[id].reload == RELOAD_LIVE && setting_is_number(&settings_table[id]))
            settings_set(&master->settings, id, settings_get(conf_settings(conf), id));
    master->live = conf;
    logs_configure(master, conf);
    master_settings(master, event, place);
}

/* ---- how it goes ---- */

static const char *const phase_names[] = {"never", "trying", "replacing", "done", "failed"};

static bool is_under_way(enum reload_phase phase)
{
    return phase == RELOAD_TRYING || phase == RELOAD_REPLACING;
}

/* What new workers complain of is kept as long as it may be a reason. */
static void enter(struct reload *reload, enum reload_phase phase)
{
    if (is_under_way(phase) && !is_under_way(reload->phase))
        recent_start();
    if (!is_under_way(phase) && is_under_way(reload->phase))
        recent_stop();
    free(reload->reason);
    reload->reason = NULL;
    reload->code = 0;
    reload->phase = phase;
}

static void fail(struct reload *reload, int code, const char *reason)
{
    enter(reload, RELOAD_FAILED);
    reload->code = code;
    reload->reason = memory_must(strdup(reason));
}

static void refuse(struct reload *reload, int code, const char *reason)
{
    log_error("reload: %s; everything stays as it was", reason);
    fail(reload, code, reason);
}

/* What may be impossible comes first, and changes nothing if it is. */
static int prepare(struct master *master, const struct conf *new, uint64_t *ret_place,
                   struct problem *problem)
{
    const char *observe = conf_text(new, SETTING_ID_OBSERVE);
    struct problem unused;
    if (!master->pages.pool && strcmp(observe, "preload") == 0)
        return problem_set(problem, -ENOTSUP,
                           "observe: \"preload\" needs a restart: the master has begun without the library");
    if (!master->pages.pool && strcmp(observe, "auto") == 0 &&
        !conf_equal(master->live, new, SETTING_ID_OBSERVE))
        log_warning("reload: observe: workers go on being observed from outside until a restart");
    int result = logs_change(master, new, problem);
    if (result)
        return result;
    result = listen_prepare(master, new, ret_place, problem);
    if (result)
        (void)!logs_change(master, master->live, &unused);
    return result;
}

/* Of generations that are only tried, the first finds the workers as they were. */
static void remember_floor(struct master *master)
{
    const struct policy *policy = &master->policy;
    if (!policy->candidate)
        versions_of(&master->versions, policy->generation)->floor = policy->floor;
}

static void adopt(struct master *master, struct conf *new, uint64_t place)
{
    uint64_t generation = master->policy.generations + 1;
    bool number_changed = !conf_equal(master->live, new, SETTING_ID_workers_min);
    unsigned changed = name_move(master, place);
    for (enum setting_id id = 0; id < SETTING_IDS; id++)
        changed += name_change(master, new, id);
    log_info("reload: %u settings have changed; workers of generation %llu follow", changed,
             (unsigned long long)generation);
    remember_floor(master);
    versions_add(&master->versions, generation, new);
    enter(&master->reload, RELOAD_TRYING);
    put_in_effect(master, new, EVENT_ROLL_OUT, place);
    if (number_changed)
        master_scale(master, conf_settings(new)->workers_min, false);
    master->reload.floor = master->policy.floor;
    changes_start(master);
    master_event(master, EVENT_RESUME, 0, 0);
    versions_prune(&master->versions, &master->policy, master->live);
}

/* Reads the file, and makes sure that its workers can be started. Returns an exit code, with the reason. */
static int read_anew(struct master *master, struct conf **ret_conf, uint64_t *ret_place,
                     struct problem *problem)
{
    struct problems problems = PROBLEMS_INIT;
    int result = conf_reload(master->conf, &problems, ret_conf);
    char *fault __attribute__((cleanup(memory_free_text))) = log_problems(&problems);
    problems_fini(&problems);
    if (result)
        return problem_set(problem, EXIT_BAD_CONFIG, "the control file is not valid%s%s", fault ? ": " : "",
                           fault ? fault : "");
    result = prepare(master, *ret_conf, ret_place, problem);
    if (result)
        conf_free(*ret_conf);
    return result ? EXIT_FAILED : 0;
}

/* A number of workers that was set by hand since the reload stays. */
static void settle(struct master *master)
{
    const struct version *former = versions_of(&master->versions, master->policy.generation);
    bool by_hand = master->policy.floor != master->reload.floor;
    int64_t floor = by_hand ? master->policy.floor : former->floor;
    struct problem problem;
    ev_timer_stop(master->loop, &master->reload.settle);
    if (logs_change(master, former->conf, &problem))
        log_error("reload: %s; it goes on being written to another file", problem.text);
    if (listen_adjust(master, former->conf, &problem))
        log_error("reload: %s; the listener stays as it is", problem.text);
    put_in_effect(master, former->conf, EVENT_SETTINGS, 0);
    master_scale(master, floor, false);
    master->reload.floor = master->policy.floor;
    changes_follow(master);
    versions_prune(&master->versions, &master->policy, master->live);
}

/* A pool that stops refuses connections, which another listener's setting would undo. */
static void on_settle(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct master *master = timer->data;
    (void)loop, (void)events;
    if (master->policy.state < POOL_STOPPING)
        settle(master);
}

bool reload_is_under_way(const struct reload *reload)
{
    return is_under_way(reload->phase);
}

bool reload_settles(struct reload *reload)
{
    return ev_is_active(&reload->settle) || ev_is_pending(&reload->settle);
}

void reload_init(struct master *master)
{
    ev_timer_init(&master->reload.settle, on_settle, 0.0, 0.0);
    master->reload.settle.data = master;
}

bool reload_is_held_up(const struct master *master)
{
    return master->upgrade.pid || master->inheritance->waits;
}

static int begin(struct master *master, struct problem *problem)
{
    struct conf *new;
    uint64_t place = 0;
    if (reload_is_held_up(master)) {
        problem_set(problem, EXIT_NOT_NOW,
                    "an upgrade is under way, which has two masters: let one of them leave");
        log_error("reload: %s", problem->text);
        return EXIT_NOT_NOW;
    }
    int code = read_anew(master, &new, &place, problem);
    if (code == 0)
        adopt(master, new, place);
    else if (is_under_way(master->reload.phase))
        log_error("reload: %s; the reload that is under way goes on", problem->text);
    else
        refuse(&master->reload, code, problem->text);
    return code;
}

int reload(struct master *master, struct problem *problem)
{
    if (reload_settles(&master->reload))
        settle(master);
    announce_reload(master);
    int code = begin(master, problem);
    announce_workers(master);
    return code;
}

/* Somebody's wish needs no explanation; else what the new workers had to say is part of it. */
static void go_back(struct master *master, enum reason reason)
{
    bool wish = reason == REASON_PAUSE || reason == REASON_STOP;
    if (master->policy.candidate) {
        log_warning("reload: the generation before fails, too: %s", reason_text(reason));
        return; /* another one is being tried */
    }
    char *lines __attribute__((cleanup(memory_free_text))) = recent_text(wish ? 0 : REASON_LINES);
    char *text __attribute__((cleanup(memory_free_text))) =
        memory_text("%s%s%s", reason_text(reason), *lines ? ": " : "", lines);
    log_line(wish ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR,
             "reload: given up, generation %llu is in effect again: %s",
             (unsigned long long)master->policy.generation, text);
    fail(&master->reload, EXIT_FAILED, text);
    /* Between two steps of the policy, and when nobody is at work on the workers. */
    ev_timer_start(master->loop, &master->reload.settle);
}

void reload_news(struct master *master, const struct action *action)
{
    struct reload *reload = &master->reload;
    enum rollout_news news = action->number;
    policy_number(&master->policy,
                  deal_is_numbered(versions_of(&master->versions, master->policy.generation)->conf));
    if (news == ROLLOUT_BACK) {
        go_back(master, action->reason);
    } else if (news == ROLLOUT_PROVED && reload->phase == RELOAD_TRYING) {
        enter(reload, RELOAD_REPLACING);
        log_info("reload: new workers are of generation %llu, and the others are replaced",
                 (unsigned long long)master->policy.generation);
    } else if (news == ROLLOUT_DONE && reload->phase == RELOAD_REPLACING) {
        enter(reload, RELOAD_DONE);
        log_info("reload: done, the workers are of generation %llu",
                 (unsigned long long)master->policy.generation);
        hooks_pool(master, SETTING_ID_HOOK_ON_RELOAD);
    }
    versions_prune(&master->versions, &master->policy, master->live);
}

static json_int_t replaced(const struct policy *policy)
{
    json_int_t count = 0;
    for (uint32_t i = 0; i < policy->slot_count; i++)
        count += policy->slots[i].state == SLOT_SERVING && policy->slots[i].generation == policy->generation;
    return count;
}

json_t *reload_json(const struct master *master)
{
    const struct reload *reload = &master->reload;
    bool counts = reload->phase == RELOAD_REPLACING || reload->phase == RELOAD_DONE;
    if (reload->phase == RELOAD_NEVER)
        return json_null();
    return json_pack("{s:s,s:I,s:s?}", "state", phase_names[reload->phase], "replaced",
                     counts ? replaced(&master->policy) : (json_int_t)0, "reason", reload->reason);
}

void reload_stop(struct master *master)
{
    ev_timer_stop(master->loop, &master->reload.settle);
    free(master->reload.reason);
    master->reload.reason = NULL;
}
