/* Loading a control file; see conf.h. */
#include "daemon/conf/conf.h"

#include "daemon/base/memory.h"
#include "daemon/base/paths.h"
#include "daemon/base/unicode.h"
#include "daemon/conf/conf_object.h"
#include "daemon/conf/conf_read.h"
#include "pool/assert.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>

void conf_locate_problem(const struct conf *conf, enum setting_id id, struct problem *problem)
{
    const struct conf_place *place = &conf->places[id];
    snprintf(problem->file, sizeof problem->file, "%s", place->source == CONF_SET ? "--set" : conf->named);
    snprintf(problem->path, sizeof problem->path, "%s", settings_table[id].path);
    problem->line = place->spot.line;
    problem->column = place->spot.column;
}

/* Adds a problem at the place of the setting. */
__attribute__((format(printf, 5, 0))) static void add(const struct conf *conf, struct problems *problems,
                                                      enum setting_id id, bool warning, const char *format,
                                                      va_list arguments)
{
    struct problem problem;
    char text[sizeof problem.text];

    vsnprintf(text, sizeof text, format, arguments);
    problem_set(&problem, 0, "%s", text);
    conf_locate_problem(conf, id, &problem);
    problem.warning = warning;
    problems_add(problems, &problem);
}

void conf_fault(struct conf *conf, struct problems *problems, enum setting_id id, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(conf, problems, id, false, format, arguments);
    va_end(arguments);
    conf->places[id].faulty = true;
}

void conf_warn(struct conf *conf, struct problems *problems, enum setting_id id, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(conf, problems, id, true, format, arguments);
    va_end(arguments);
}

void conf_denied(struct conf *conf, struct problems *problems, enum setting_id id, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(conf, problems, id, conf->lenient, format, arguments);
    va_end(arguments);
}

bool conf_given(const struct conf *conf, enum setting_id id)
{
    return conf->places[id].source != CONF_DEFAULT;
}

/* What jansson says, where that is not about its own options; it counts characters, we count bytes. */
static void set_syntax_error(struct problem *problem, const char *text, size_t length,
                             const json_error_t *error)
{
    enum json_error_code code = json_error_code(error);
    size_t at = error->position < 0 ? 0 : (size_t)error->position;
    if (at > length)
        at = length;
    size_t line_start = at;
    while (line_start > 0 && text[line_start - 1] != '\n')
        line_start--;
    if (code == json_error_null_character || code == json_error_null_byte_in_key)
        problem_set(problem, 0, "a string must not contain \\u0000");
    else
        problem_set(problem, 0, "not valid JSON: %s%s", error->text,
                    code == json_error_premature_end_of_input ? " (is the file cut off?)" : "");
    problem->line = error->line > 0 ? (unsigned)error->line : 1;
    problem->column = at > line_start ? (unsigned)(at - line_start) : 1;
}

/* Gives the JSON, and in `where` the positions in it. */
static int parse(const char *text, size_t length, struct conf_where *where, json_t **ret_root,
                 struct problem *problem)
{
    json_error_t error;

    if (conf_where_init(where, text, length) == -ELOOP) {
        problem_set(problem, 0, "objects and lists are nested deeper than %d levels", CONF_WHERE_DEPTH);
        problem->line = where->stop.line;
        problem->column = where->stop.column;
        return -EINVAL;
    }
    json_t *root = json_loadb(text, length, 0, &error);
    if (!root) {
        set_syntax_error(problem, text, length, &error);
        return -EINVAL;
    }
    *ret_root = root;
    return 0;
}

static int read_file(struct conf *conf, struct problems *problems)
{
    char *text __attribute__((cleanup(memory_free_text))) = NULL;
    size_t length;
    struct conf_where where = {0};
    json_t *root = NULL;
    struct problem problem;

    int r = conf_read(conf->named, &text, &length, &problem);
    if (r == 0)
        r = parse(text, length, &where, &root, &problem);
    if (r == 0) {
        conf_collect_file(conf, root, &where, problems);
    } else {
        snprintf(problem.file, sizeof problem.file, "%s", conf->named);
        problems_add(problems, &problem);
    }
    json_decref(root);
    conf_where_fini(&where);
    return r;
}

static int make(const char *file, struct problems *problems, struct conf **ret_conf)
{
    char absolute[PATH_MAX], directory[PATH_MAX];
    struct problem problem;
    int r = paths_absolute_here(file, absolute, sizeof absolute);

    if (r == 0)
        r = paths_directory(absolute, directory, sizeof directory);
    if (r < 0) {
        problem_set(&problem, 0, "cannot be found from the working directory: %s", strerror(-r));
        snprintf(problem.file, sizeof problem.file, "%s", file);
        problems_add(problems, &problem);
        return r;
    }
    json_t *name = json_string(absolute);
    if (!name) {
        problem_set(&problem, 0, "the path is not valid UTF-8, in which status and the commands speak of it");
        snprintf(problem.file, sizeof problem.file, "%s", file);
        unicode_make_printable(problem.file, strlen(problem.file));
        problems_add(problems, &problem);
        return -EILSEQ;
    }
    json_decref(name);
    struct conf *conf = memory_must(calloc(1, sizeof *conf));
    conf->named = memory_must(strdup(file));
    conf->file = memory_must(strdup(absolute));
    conf->directory = memory_must(strdup(directory));
    conf->owner = (uid_t)-1;
    conf->group = (gid_t)-1;
    settings_init(&conf->settings);
    *ret_conf = conf;
    return 0;
}

static void free_conf(struct conf **conf)
{
    conf_free(*conf);
}

static void keep_sets(struct conf *conf, char *const *sets, size_t set_count)
{
    conf->sets = memory_must(calloc(set_count + 1, sizeof *conf->sets));
    for (size_t i = 0; i < set_count; i++)
        conf->sets[i] = memory_must(strdup(sets[i]));
}

/* `former`: whose users and groups are taken over; NULL: they are looked up. */
static int load(const char *file, char *const *sets, size_t set_count, const struct conf *former,
                bool lenient, struct problems *problems, struct conf **ret_conf)
{
    struct conf *conf __attribute__((cleanup(free_conf))) = NULL;
    size_t errors_before = problems->errors;

    int r = make(file, problems, &conf);
    if (r < 0)
        return r;
    conf->lenient = lenient;
    r = read_file(conf, problems);
    if (r < 0)
        return r;
    keep_sets(conf, sets, set_count);
    for (size_t i = 0; i < set_count; i++)
        conf_collect_set(conf, sets[i], problems);
    conf_resolve(conf, problems);
    if (former) {
        conf_keep_names(conf, former, problems);
    } else {
        conf_resolve_names(conf, problems);
        conf_resolve_credentials(conf, problems);
    }
    conf_resolve_privileges(conf, problems);
    conf_resolve_listen(conf, problems);
    conf_resolve_clients(conf, problems);
    conf_resolve_command(conf, problems);
    conf_combine(conf, problems);
    if (problems->errors > errors_before)
        return -EINVAL;
    *ret_conf = conf;
    conf = NULL;
    return 0;
}

int conf_load(const char *file, char *const *sets, size_t set_count, struct problems *problems,
              struct conf **ret_conf)
{
    return load(file, sets, set_count, NULL, false, problems, ret_conf);
}

int conf_check(const char *file, char *const *sets, size_t set_count, struct problems *problems,
               struct conf **ret_conf)
{
    return load(file, sets, set_count, NULL, true, problems, ret_conf);
}

int conf_reload(const struct conf *former, struct problems *problems, struct conf **ret_conf)
{
    size_t set_count = 0;
    while (former->sets[set_count])
        set_count++;
    return load(former->file, former->sets, set_count, former, false, problems, ret_conf);
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* Neither number nor text. */
static bool is_json(enum setting_type type)
{
    return type == SETTING_STRINGS || type == SETTING_MAP || type == SETTING_LISTS;
}

bool conf_equal(const struct conf *a, const struct conf *b, enum setting_id id)
{
    const struct setting *setting = &settings_table[id];
    if (setting_is_number(setting))
        return settings_get(&a->settings, id) == settings_get(&b->settings, id);
    if (is_json(setting->type))
        return a->values[id] == b->values[id] || json_equal(a->values[id], b->values[id]);
    return same_text(a->texts[id], b->texts[id]);
}

static void free_strings(char **strings)
{
    for (size_t i = 0; strings && strings[i]; i++)
        free(strings[i]);
    free(strings);
}

void conf_free(struct conf *conf)
{
    if (!conf)
        return;
    for (int id = 0; id < SETTING_IDS; id++) {
        json_decref(conf->values[id]);
        free(conf->texts[id]);
    }
    free_strings(conf->sets);
    free_strings(conf->argv);
    free_strings(conf->watched);
    for (int i = 0; i < CONF_HOOKS; i++)
        free_strings(conf->hooks[i]);
    free_strings(conf->environment);
    free(conf->credentials.groups);
    free(conf->user.name);
    free(conf->user.home);
    free(conf->user.shell);
    free(conf->limits);
    free(conf->clients);
    free(conf->named);
    free(conf->file);
    free(conf->directory);
    free(conf);
}

const struct settings *conf_settings(const struct conf *conf)
{
    return &conf->settings;
}

const char *conf_text(const struct conf *conf, enum setting_id id)
{
    ASSERT(!setting_is_number(&settings_table[id]));
    return conf->texts[id];
}

json_t *conf_json(const struct conf *conf, enum setting_id id)
{
    ASSERT(is_json(settings_table[id].type));
    return conf->values[id];
}

const char *conf_file(const struct conf *conf)
{
    return conf->file;
}

uid_t conf_listen_owner(const struct conf *conf)
{
    return conf->owner;
}

gid_t conf_listen_group(const struct conf *conf)
{
    return conf->group;
}

char *const *conf_watched(const struct conf *conf)
{
    return conf->watched;
}

char *const *conf_hook(const struct conf *conf, enum setting_id hook)
{
    ASSERT(hook >= SETTING_ID_HOOK_ON_STARTING && hook <= SETTING_ID_HOOK_ON_EXIT);
    return conf->hooks[hook - SETTING_ID_HOOK_ON_STARTING];
}

char **conf_argv(const struct conf *conf)
{
    return conf->argv;
}

char **conf_environment(const struct conf *conf)
{
    return conf->environment;
}
