/* Reload; see reload.h. */
#include "daemon/reload.h"

#include "daemon/base/exit_code.h"
#include "daemon/base/memory.h"
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

/* Names it. Returns whether it has. */
static bool name_change(const struct master *master, const struct conf *new, enum setting_id id)
{
    const struct setting *setting = &settings_table[id];
    bool waits = setting->reload == RELOAD_RESTART || setting->reload == RELOAD_LISTEN;
    if (conf_equal(waits ? master->conf : master->live, new, id))
        return false;
    if (waits)
        log_warning("reload: %s has changed, which is not yet possible without a restart; it stays as it was",
                    setting->path);
    else
        log_info("reload: %s %s", setting->path,
                 setting->reload == RELOAD_LIVE ? "is in effect" : "will be that of new workers");
    return !waits;
}

/* The settings of class LIVE. `floor` workers are asked for where `conf` has another number than was in
 * effect, unless another one was set by hand since. Returns false when that was no more so in the end. */
static bool put_in_effect(struct master *master, const struct conf *conf, enum event_type event,
                          int64_t floor)
{
    bool number_changed = !conf_equal(master->live, conf, SETTING_ID_workers_min);
    bool files_changed = !conf_equal(master->live, conf, SETTING_ID_RELOAD_ON_CHANGE);
    for (enum setting_id id = 0; id < SETTING_IDS; id++)
        if (settings_table[id].reload == RELOAD_LIVE && setting_is_number(&settings_table[id]))
            settings_set(&master->settings, id, settings_get(conf_settings(conf), id));
    master->live = conf;
    logs_configure(master, conf);
    if (files_changed || event == EVENT_ROLL_OUT) /* or what has changed since would be forgotten */
        changes_start(master);
    master_settings(master, event);
    if (master->live == conf && number_changed)
        master_scale(master, floor, false);
    return master->live == conf;
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
    reload_fini(reload);
    *reload = (struct reload){.phase = phase, .floor = reload->floor};
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
static int prepare(struct master *master, const struct conf *new, struct problem *problem)
{
    const char *observe = conf_text(new, SETTING_ID_OBSERVE);
    struct problem unused;
    if (!master->pages.pool && strcmp(observe, "preload") == 0)
        return problem_set(problem, -ENOTSUP,
                           "observe: \"preload\" is possible after a restart only, where it was \"kernel\"");
    if (!master->pages.pool && !conf_equal(master->live, new, SETTING_ID_OBSERVE))
        log_warning("reload: observe: workers go on being observed from outside until a restart");
    int result = logs_open_output(master, new, problem);
    if (result)
        return result;
    result = listen_adjust(master, new, problem);
    if (result)
        (void)!logs_open_output(master, master->live, &unused);
    return result;
}

static void adopt(struct master *master, struct conf *new)
{
    unsigned changed = 0;
    for (enum setting_id id = 0; id < SETTING_IDS; id++)
        changed += name_change(master, new, id);
    log_info("reload: %u settings have changed; workers of generation %llu follow", changed,
             (unsigned long long)master->policy.generations + 1);
    versions_add(&master->versions, master->policy.generations + 1, new);
    int64_t floor = is_under_way(master->reload.phase) ? master->reload.floor : master->policy.floor;
    enter(&master->reload, RELOAD_TRYING);
    master->reload.floor = floor;
    /* It may fail at once. */
    if (put_in_effect(master, new, EVENT_ROLL_OUT, conf_settings(new)->workers_min))
        master_event(master, EVENT_RESUME, 0, 0);
    versions_prune(&master->versions, &master->policy);
}

/* Reads the file. Returns an exit code, with the reason. */
static int read_anew(struct master *master, struct conf **ret_conf, struct problem *problem)
{
    struct problems problems = PROBLEMS_INIT;
    int result = conf_reload(master->conf, &problems, ret_conf);
    char *fault __attribute__((cleanup(memory_free_text))) = log_problems(&problems);
    problems_fini(&problems);
    if (result)
        return problem_set(problem, EXIT_BAD_CONFIG, "the control file is not valid%s%s", fault ? ": " : "",
                           fault ? fault : "");
    result = prepare(master, *ret_conf, problem);
    if (result)
        conf_free(*ret_conf);
    return result ? EXIT_FAILED : 0;
}

int reload(struct master *master, struct problem *problem)
{
    struct conf *new;
    int code = read_anew(master, &new, problem);
    if (code == 0)
        adopt(master, new);
    else if (is_under_way(master->reload.phase))
        log_error("reload: %s; the reload that is under way goes on", problem->text);
    else
        refuse(&master->reload, code, problem->text);
    return code;
}

/* The reason, and what the new workers had to say, unless it was somebody's wish. */
static char *explain(enum reason reason)
{
    bool wish = reason == REASON_PAUSE || reason == REASON_STOP;
    char *lines __attribute__((cleanup(memory_free_text))) = recent_text(wish ? 0 : REASON_LINES);
    return memory_text("%s%s%s", reason_text(reason), *lines ? ": " : "", lines);
}

static void go_back(struct master *master, enum reason reason)
{
    if (master->policy.candidate) {
        log_warning("reload: the generation before fails, too: %s", reason_text(reason));
        return; /* another one is being tried */
    }
    char *text __attribute__((cleanup(memory_free_text))) = explain(reason);
    log_error("reload: %s; generation %llu and its settings are in effect again", text,
              (unsigned long long)master->policy.generation);
    fail(&master->reload, EXIT_FAILED, text);
    master->reload.back = true;
}

void reload_settle(struct master *master)
{
    if (!master->reload.back)
        return;
    master->reload.back = false;
    struct problem problem;
    const struct conf *former = versions_of(&master->versions, master->policy.generation);
    bool by_hand = master->policy.floor != conf_settings(master->live)->workers_min;
    if (listen_adjust(master, former, &problem))
        log_error("reload: %s; the listener stays as it is", problem.text);
    (void)put_in_effect(master, former, EVENT_SETTINGS,
                        by_hand ? master->policy.floor : master->reload.floor);
    versions_prune(&master->versions, &master->policy);
}

void reload_news(struct master *master, const struct action *action)
{
    struct reload *reload = &master->reload;
    enum rollout_news news = action->number;
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
    }
    if (!reload->back)
        versions_prune(&master->versions, &master->policy);
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
    if (reload->phase == RELOAD_NEVER)
        return json_null();
    return json_pack("{s:s,s:I,s:s?}", "state", phase_names[reload->phase], "replaced",
                     reload->phase == RELOAD_TRYING ? (json_int_t)0 : replaced(&master->policy), "reason",
                     reload->reason);
}

void reload_fini(struct reload *reload)
{
    free(reload->reason);
    reload->reason = NULL;
}
