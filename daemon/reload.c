/* Reload; see reload.h. */
#include "daemon/reload.h"

#include "daemon/base/memory.h"
#include "daemon/logs.h"
#include "daemon/master.h"

#include <stdio.h>
#include <string.h>

/* Said as `check` says it. */
static void log_problems(const struct problems *problems)
{
    for (size_t i = 0; i < problems->count; i++) {
        char *text __attribute__((cleanup(memory_free_text))) = NULL;
        size_t size;
        FILE *stream = memory_must(open_memstream(&text, &size));
        problem_print(&problems->items[i], stream);
        fclose(stream);
        log_line(problems->items[i].warning ? LOG_LEVEL_WARNING : LOG_LEVEL_ERROR, "reload: %.*s",
                 (int)strcspn(text, "\n"), text);
    }
}

/* Where the settings of class LIVE come from. */
static const struct conf *in_effect(const struct master *master)
{
    return master->live ? master->live : master->conf;
}

static void apply(struct master *master, const struct conf *new, enum setting_id id)
{
    const struct setting *setting = &settings_table[id];
    if (setting_is_number(setting))
        settings_set(&master->settings, id, settings_get(conf_settings(new), id));
    log_info("reload: %s is in effect", setting->path);
}

/* Takes over what can change at once, and names the rest. Returns how many settings took effect. */
static unsigned compare(struct master *master, const struct conf *new)
{
    unsigned applied = 0;
    for (enum setting_id id = 0; id < SETTING_IDS; id++) {
        bool live = settings_table[id].reload == RELOAD_LIVE;
        if (conf_equal(live ? in_effect(master) : master->conf, new, id))
            continue;
        if (live) {
            apply(master, new, id);
            applied++;
        } else {
            log_warning("reload: %s has changed, which is not yet possible without a restart; it stays as "
                        "it was",
                        settings_table[id].path);
        }
    }
    return applied;
}

static void adopt(struct master *master, struct conf *new)
{
    bool number_changed = !conf_equal(in_effect(master), new, SETTING_ID_workers_min);
    unsigned applied = compare(master, new);
    conf_free(master->live);
    master->live = new;
    logs_configure(master, new);
    master_settings(master);
    if (number_changed)
        master_scale(master, master->settings.workers_min, false);
    master_event(master, EVENT_RESUME, 0, 0);
    log_info("reload: done, %u settings changed", applied);
}

void reload(struct master *master)
{
    struct problems problems = PROBLEMS_INIT;
    struct conf *new;
    if (master->policy.state >= POOL_STOPPING)
        return;
    int result = conf_reload(master->conf, &problems, &new);
    log_problems(&problems);
    problems_fini(&problems);
    if (result)
        log_error("reload: the control file is not valid; everything stays as it was");
    else
        adopt(master, new);
}
