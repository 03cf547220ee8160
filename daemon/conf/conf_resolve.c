/* From values to the texts that the master uses: absolute paths, names, words; see conf_object.h. */
#include "daemon/base/memory.h"
#include "daemon/base/paths.h"
#include "daemon/conf/conf_object.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define NAME_MAX_BYTES 64

bool conf_name_valid(const char *name, const char **ret_why)
{
    const char *why = NULL;

    if (!name[0])
        why = "is empty";
    else if (strlen(name) > NAME_MAX_BYTES)
        why = "is longer than 64 bytes";
    else if (strchr(name, '/'))
        why = "must not contain '/'";
    for (const char *c = name; *c && !why; c++)
        if (*c < ' ' || *c > '~')
            why = "must consist of printable ASCII characters";
    if (why)
        *ret_why = why;
    return !why;
}

static void set_text(struct conf *conf, enum setting_id id, const char *text)
{
    free(conf->texts[id]);
    conf->texts[id] = memory_must(strdup(text));
}

/* Makes the path that was given absolute. False: it was not given, or does not work. */
static bool resolve_path(struct conf *conf, enum setting_id id, const char *base, struct problems *problems)
{
    char path[PATH_MAX];
    const char *given = json_string_value(conf->values[id]);

    if (!given)
        return false;
    if (paths_absolute(base, given, path, sizeof path) < 0) {
        conf_fault(conf, problems, id, "the path is longer than %d bytes", PATH_MAX - 1);
        return false;
    }
    set_text(conf, id, path);
    return true;
}

static void resolve_chdir(struct conf *conf, struct problems *problems)
{
    struct stat status;
    enum setting_id id = SETTING_ID_CHDIR;

    if (!resolve_path(conf, id, conf->directory, problems)) {
        set_text(conf, id, conf->directory);
        return;
    }
    if (stat(conf->texts[id], &status) < 0)
        conf_fault(conf, problems, id, "%s: %s", conf->texts[id], strerror(errno));
    else if (!S_ISDIR(status.st_mode))
        conf_fault(conf, problems, id, "%s is not a directory", conf->texts[id]);
}

static void resolve_name(struct conf *conf, struct problems *problems)
{
    enum setting_id id = SETTING_ID_NAME;
    const char *given = json_string_value(conf->values[id]);
    const char *why;
    char stem[NAME_MAX + 1] = "";

    if (given) {
        set_text(conf, id, given);
        if (!conf_name_valid(given, &why))
            conf_fault(conf, problems, id, "%s", why);
        return;
    }
    int r = paths_stem(conf->file, stem, sizeof stem);
    set_text(conf, id, stem);
    if (conf->places[id].faulty)
        return;
    if (r < 0 || !conf_name_valid(stem, &why))
        conf_fault(conf, problems, id, "the file's name cannot be the pool's (it %s); set `name`",
                   r < 0 ? "is too long" : why);
}

static void resolve_control_socket(struct conf *conf, struct problems *problems)
{
    enum setting_id id = SETTING_ID_CONTROL_SOCKET;
    char path[PATH_MAX];

    if (!conf->texts[id]) {
        if (paths_control_socket(conf->texts[SETTING_ID_NAME], path, sizeof path) < 0) {
            conf_fault(conf, problems, id, "the path of the runtime directory is too long");
            return;
        }
        set_text(conf, id, path);
    }
    size_t length = strlen(conf->texts[id]);
    if (length > CONF_SUN_PATH_MAX)
        conf_fault(conf, problems, id, "the path %s has %zu bytes; a unix socket takes at most %d",
                   conf->texts[id], length, CONF_SUN_PATH_MAX);
}

/* The first of "info|debug|error". */
static void set_default_word(struct conf *conf, enum setting_id id)
{
    const char *words = settings_table[id].text_default;
    char *word __attribute__((cleanup(memory_free_text))) = memory_must(strndup(words, strcspn(words, "|")));
    set_text(conf, id, word);
}

static void resolve_text(struct conf *conf, enum setting_id id, struct problems *problems)
{
    const struct setting *setting = &settings_table[id];
    const char *given = json_string_value(conf->values[id]);

    if (setting->type == SETTING_PATH)
        (void)resolve_path(conf, id, conf->texts[SETTING_ID_CHDIR], problems);
    else if (given)
        set_text(conf, id, given);
    else if (setting->type == SETTING_WORD)
        set_default_word(conf, id);
    else if (setting->text_default)
        set_text(conf, id, setting->text_default);
}

static void resolve_watched(struct conf *conf, struct problems *problems)
{
    enum setting_id id = SETTING_ID_RELOAD_ON_CHANGE;
    size_t count = json_array_size(conf->values[id]);
    char path[PATH_MAX];

    conf->watched = memory_must(calloc(count + 1, sizeof *conf->watched));
    for (size_t i = 0; i < count; i++) {
        const char *given = json_string_value(json_array_get(conf->values[id], i));
        if (paths_absolute(conf->texts[SETTING_ID_CHDIR], given, path, sizeof path) < 0) {
            conf_fault(conf, problems, id, "the path %zu is longer than %d bytes", i + 1, PATH_MAX - 1);
            return;
        }
        conf->watched[i] = memory_must(strdup(path));
    }
}

void conf_resolve(struct conf *conf, struct problems *problems)
{
    resolve_chdir(conf, problems);
    resolve_name(conf, problems);
    for (enum setting_id id = 0; id < SETTING_IDS; id++) {
        enum setting_type type = settings_table[id].type;
        bool text = type == SETTING_STRING || type == SETTING_WORD || type == SETTING_PATH;
        if (text && id != SETTING_ID_CHDIR && id != SETTING_ID_NAME)
            resolve_text(conf, id, problems);
    }
    resolve_control_socket(conf, problems);
    resolve_watched(conf, problems);
}
