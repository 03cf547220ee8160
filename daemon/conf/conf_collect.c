/* From JSON to values of settings, each looked at by itself; see conf_object.h. */
#include "daemon/base/memory.h"
#include "daemon/conf/conf_object.h"
#include "daemon/conf/conf_value.h"
#include "daemon/conf/suggest.h"

#include <string.h>

#define PATH_SIZE 128

/* One source of values. `node` beside a value is its place in `where`; -1 where there is none. */
struct collect {
    struct conf *conf;
    struct problems *problems;
    const struct conf_where *where; /* NULL: an override */
};

static void take(struct collect *collect, const char *path, json_t *value, int node);

static int member_node(const struct collect *collect, int node, const char *key)
{
    return collect->where ? conf_where_member(collect->where, node, key) : -1;
}

/* NULL where there is none. */
static const struct conf_where_node *node_of(const struct collect *collect, int node)
{
    return collect->where && node >= 0 ? &collect->where->nodes[node] : NULL;
}

/* Adds `problem`, placed at the node's value, or at its key. */
static void report(struct collect *collect, const char *path, int node, bool at_key, struct problem *problem)
{
    snprintf(problem->file, sizeof problem->file, "%s", collect->where ? collect->conf->named : "--set");
    snprintf(problem->path, sizeof problem->path, "%s", path);
    const struct conf_where_node *found = node_of(collect, node);
    if (found) {
        struct conf_where_spot spot = at_key ? found->key_spot : found->value_spot;
        problem->line = spot.line;
        problem->column = spot.column;
    }
    problems_add(collect->problems, problem);
}

static bool has_word(const char *words, const char *word)
{
    size_t length = strlen(word);
    for (;; words++) {
        size_t span = strcspn(words, "|");
        if (span == length && memcmp(words, word, length) == 0)
            return true;
        words += span;
        if (!*words)
            return false;
    }
}

/* What one item of a list must be beside a string. */
static bool item_good(enum setting_id id, const json_t *item, struct problem *ret_problem)
{
    struct cidr cidr;
    char found[CONF_VALUE_SIZE];

    if (json_is_string(item))
        return id != SETTING_ID_ALLOWED_CLIENTS ||
               cidr_parse(json_string_value(item), &cidr, ret_problem) == 0;
    conf_value_describe(item, found);
    problem_set(ret_problem, 0, "found %s, expected a string", found);
    return false;
}

/* A non-empty array of strings. */
static bool check_strings(struct collect *collect, enum setting_id id, const json_t *value, int node)
{
    const struct setting *setting = &settings_table[id];
    struct problem problem;
    bool good = true;
    size_t i;
    json_t *item;

    if (json_array_size(value) == 0) {
        conf_value_wrong_type(setting, value, &problem);
        if (json_is_array(value))
            problem_set(&problem, 0, "is empty, expected at least one string");
        report(collect, setting->path, node, false, &problem);
        return false;
    }
    json_array_foreach(value, i, item)
    {
        char path[PATH_SIZE];
        if (item_good(id, item, &problem))
            continue;
        snprintf(path, sizeof path, "%s[%zu]", setting->path, i);
        report(collect, path, collect->where ? conf_where_item(collect->where, node, i) : -1, false,
               &problem);
        good = false;
    }
    return good;
}

static bool is_list_of_strings(const json_t *value)
{
    size_t i;
    const json_t *item;
    json_array_foreach(value, i, item)
    {
        if (!json_is_string(item))
            return false;
    }
    return json_array_size(value) > 0;
}

/* An object of strings, or of lists of them, whose keys can be names of environment variables. */
static bool check_map(struct collect *collect, enum setting_id id, json_t *value, int node)
{
    const struct setting *setting = &settings_table[id];
    struct problem problem;
    bool good = true, lists = setting->type == SETTING_LISTS;
    const char *key;
    json_t *item;

    if (!json_is_object(value)) {
        conf_value_wrong_type(setting, value, &problem);
        report(collect, setting->path, node, false, &problem);
        return false;
    }
    json_object_foreach(value, key, item)
    {
        char path[PATH_SIZE], found[CONF_VALUE_SIZE];
        bool named = key[0] && !strchr(key, '=');
        if (named && (lists ? is_list_of_strings(item) : json_is_string(item)))
            continue;
        conf_value_describe(item, found);
        if (!named)
            problem_set(&problem, 0, "the name of a variable must not be empty nor contain '='");
        else
            problem_set(&problem, 0, "found %s, expected %s", found,
                        lists ? "a list of strings like [\"0\", \"1\"]" : "a string like \"value\"");
        snprintf(path, sizeof path, "%s.%s", setting->path, key);
        report(collect, path, member_node(collect, node, key), !named, &problem);
        good = false;
    }
    return good;
}

static bool check_string(struct collect *collect, enum setting_id id, const json_t *value, int node)
{
    const struct setting *setting = &settings_table[id];
    const char *string = json_string_value(value);
    struct problem problem;

    if (!string || (setting->type == SETTING_WORD && !has_word(setting->text_default, string)))
        conf_value_wrong_type(setting, value, &problem);
    else if (!string[0])
        problem_set(&problem, 0, "is empty");
    else
        return true;
    report(collect, setting->path, node, false, &problem);
    return false;
}

static bool check_number(struct collect *collect, enum setting_id id, const json_t *value, const char *path,
                         int node)
{
    struct problem problem;
    int64_t number;

    if (conf_value_number(&settings_table[id], value, &number, &problem) < 0) {
        report(collect, path, node, false, &problem);
        return false;
    }
    settings_set(&collect->conf->settings, id, number);
    return true;
}

static bool check(struct collect *collect, enum setting_id id, json_t *value, int node)
{
    const struct setting *setting = &settings_table[id];
    if (setting_is_number(setting))
        return check_number(collect, id, value, setting->path, node);
    if (setting->type == SETTING_STRINGS)
        return check_strings(collect, id, value, node);
    if (setting->type == SETTING_MAP || setting->type == SETTING_LISTS)
        return check_map(collect, id, value, node);
    return check_string(collect, id, value, node);
}

static void place(struct collect *collect, enum setting_id id, int node, bool good)
{
    struct conf_place *to = &collect->conf->places[id];
    *to = (struct conf_place){.source = collect->where ? CONF_FILE : CONF_SET, .faulty = !good};
    const struct conf_where_node *found = node_of(collect, node);
    if (found)
        to->spot = found->value_spot;
}

static void take_setting(struct collect *collect, enum setting_id id, json_t *value, int node)
{
    struct conf *conf = collect->conf;
    bool good = check(collect, id, value, node);

    place(collect, id, node, good);
    if (good && !setting_is_number(&settings_table[id])) {
        json_decref(conf->values[id]);
        conf->values[id] = json_incref(value);
    }
}

/* "workers": N. */
static void take_workers(struct collect *collect, const json_t *value, int node)
{
    bool good = check_number(collect, SETTING_ID_workers_max, value, "workers", node);
    if (good)
        settings_set(&collect->conf->settings, SETTING_ID_workers_min, collect->conf->settings.workers_max);
    place(collect, SETTING_ID_workers_min, node, good);
    place(collect, SETTING_ID_workers_max, node, good);
}

/* The members of a group, like {"level": ..., "file": ...}. */
static void take_group(struct collect *collect, const char *group, json_t *value, int node)
{
    struct problem problem;
    const char *key;
    json_t *member;

    if (!json_is_object(value)) {
        char found[CONF_VALUE_SIZE];
        const char *example =
            strcmp(group, "workers") == 0   ? "a number like 4 or an object like {\"min\": 2, \"max\": 8}"
            : strcmp(group, "backoff") == 0 ? "an object like {\"initial\": \"100ms\", \"max\": 30}"
                                            : "an object like {\"level\": \"info\"}";
        conf_value_describe(value, found);
        problem_set(&problem, 0, "found %s, expected %s", found, example);
        report(collect, group, node, false, &problem);
        return;
    }
    json_object_foreach(value, key, member)
    {
        char path[PATH_SIZE];
        snprintf(path, sizeof path, "%s.%s", group, key);
        take(collect, path, member, member_node(collect, node, key));
    }
}

static void take_unknown(struct collect *collect, const char *path, int node)
{
    const struct setting *near = suggest_setting(path);
    const char *dot = near ? strchr(near->path, '.') : NULL;
    size_t group = dot ? (size_t)(dot - near->path) : 0;
    const struct conf_where_node *found = node_of(collect, node);
    const char *key = found ? found->key : "";
    bool in_group = dot && strncmp(path, near->path, group + 1) == 0 && !strchr(key, '.');
    struct problem problem;

    if (!near)
        problem_set(&problem, 0, "unknown setting");
    else if (!dot || in_group || !collect->where)
        problem_set(&problem, 0, "unknown setting; did you mean `%s`?", near->path);
    else
        problem_set(&problem, 0,
                    "unknown setting; did you mean `%s`? It is written {\"%.*s\": {\"%s\": ...}}", near->path,
                    (int)group, near->path, dot + 1);
    report(collect, path, node, true, &problem);
}

static bool is_group(const char *path)
{
    size_t length = strlen(path);
    for (int id = 0; id < SETTING_IDS; id++)
        if (strncmp(settings_table[id].path, path, length) == 0 && settings_table[id].path[length] == '.')
            return true;
    return false;
}

static void take(struct collect *collect, const char *path, json_t *value, int node)
{
    /* {"log.level": ...} has the path of a setting, but is none. */
    const struct conf_where_node *found = node_of(collect, node);
    bool dotted = found && strchr(found->key, '.');
    int id = dotted ? -1 : settings_find(path);

    if (collect->problems->more)
        return;
    if (id >= 0)
        take_setting(collect, (enum setting_id)id, value, node);
    else if (!dotted && strcmp(path, "workers") == 0 && json_is_integer(value))
        take_workers(collect, value, node);
    else if (!dotted && is_group(path))
        take_group(collect, path, value, node);
    else
        take_unknown(collect, path, node);
}

static void report_duplicates(struct collect *collect)
{
    const struct conf_where *where = collect->where;
    for (size_t i = 0; i < where->count && !collect->problems->more; i++) {
        char path[PATH_SIZE];
        struct problem problem;
        if (where->nodes[i].first < 0)
            continue;
        struct conf_where_spot first = where->nodes[where->nodes[i].first].key_spot;
        problem_set(&problem, 0, "given again; first at %u:%u", first.line, first.column);
        conf_where_path(where, (int)i, path, sizeof path);
        report(collect, path, (int)i, true, &problem);
    }
}

void conf_collect_file(struct conf *conf, json_t *root, const struct conf_where *where,
                       struct problems *problems)
{
    struct collect collect = {.conf = conf, .problems = problems, .where = where};
    const char *key;
    json_t *value;

    if (!json_is_object(root)) {
        struct problem problem;
        problem_set(&problem, 0,
                    "found an array, expected an object like {\"listen\": ..., \"command\": ...}");
        report(&collect, "", 0, false, &problem);
        return;
    }
    report_duplicates(&collect);
    json_object_foreach(root, key, value)
    {
        take(&collect, key, value, conf_where_member(where, 0, key));
    }
}

static bool is_object(enum setting_type type)
{
    return type == SETTING_MAP || type == SETTING_LISTS;
}

/* The setting of type MAP or LISTS that `path` names a member of ("env.TZ"), with the member's name; or -1.
 */
static int find_map(const char *path, const char **ret_key)
{
    for (int id = 0; id < SETTING_IDS; id++) {
        size_t length = strlen(settings_table[id].path);
        if (is_object(settings_table[id].type) && strncmp(path, settings_table[id].path, length) == 0 &&
            path[length] == '.') {
            *ret_key = path + length + 1;
            return id;
        }
    }
    return -1;
}

/* True when what is JSON, but no string, is to be taken as the string that it looks like: a gid, a mode, a
 * number in a variable. */
static bool wants_string(const char *path, const json_t *value)
{
    const char *key;
    int id = settings_find(path), map = find_map(path, &key);
    if (map >= 0)
        return settings_table[map].type == SETTING_MAP;
    if (id < 0 || !json_is_number(value))
        return false;
    return !setting_is_number(&settings_table[id]) || settings_table[id].type == SETTING_MODE;
}

/* JSON where it parses, else a string. */
static json_t *parse_set(const char *path, const char *text)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    if (value && (json_is_string(value) || !wants_string(path, value)))
        return value;
    json_decref(value);
    return memory_must(json_string(text));
}

/* Adds one member to the map that was given so far. */
static void take_map_member(struct collect *collect, enum setting_id id, const char *key, json_t *value)
{
    json_t *given = collect->conf->values[id];
    json_t *merged = memory_must(given ? json_copy(given) : json_object());
    json_object_set(merged, key, value);
    take_setting(collect, id, merged, -1);
    json_decref(merged);
}

void conf_collect_set(struct conf *conf, const char *set, struct problems *problems)
{
    struct collect collect = {.conf = conf, .problems = problems};
    const char *equals = strchr(set, '=');
    const char *key;
    struct problem problem;

    json_t *text = json_string(set);
    if (!text || !equals || equals == set) {
        problem_set(&problem, 0, text ? "\"%s\" is not of the form path=VALUE" : "\"%s\" is not valid UTF-8",
                    set);
        json_decref(text);
        report(&collect, "", -1, false, &problem);
        return;
    }
    json_decref(text);
    char *path __attribute__((cleanup(memory_free_text))) = memory_must(strndup(set, (size_t)(equals - set)));
    json_t *value = parse_set(path, equals + 1);
    int map = find_map(path, &key);
    if (map >= 0)
        take_map_member(&collect, (enum setting_id)map, key, value);
    else
        take(&collect, path, value, -1);
    json_decref(value);
}
