/* The settings table as a JSON schema; see conf_schema.h. */
#include "daemon/conf/conf_schema.h"

#include "daemon/base/memory.h"
#include "daemon/conf/conf_value.h"
#include "pool/assert.h"

#include <string.h>

/* What every setting of a type has in common: a definition of its own, so that the tools that read the schema
 * still see the types of the table. A range stands beside the reference; it binds the numbers, not the texts.
 */
static const struct {
    const char *name, *schema;
} types[] = {
    [SETTING_COUNT] = {"count", "{\"type\": \"integer\"}"},
    [SETTING_CHOICE] = {"choice", "{\"type\": [\"integer\", \"string\"], \"pattern\": \"^auto$\"}"},
    [SETTING_SECONDS] = {"seconds",
                         "{\"type\": [\"number\", \"string\"], \"pattern\": \"^[0-9]+(ms|s|m|h)$\"}"},
    [SETTING_SIZE] = {"size", "{\"type\": [\"integer\", \"string\"], \"pattern\": \"^[0-9]+[KMG]?$\"}"},
    [SETTING_LIMIT] = {"limit", "{\"type\": [\"integer\", \"string\"],"
                                " \"pattern\": \"^([0-9]+[KMG]?|unlimited)$\"}"},
    [SETTING_QUANTITY] = {"quantity", "{\"type\": [\"integer\", \"string\"], \"pattern\": \"^unlimited$\"}"},
    [SETTING_INTEGER] = {"integer", "{\"type\": \"integer\"}"},
    [SETTING_SWITCH] = {"switch", "{\"type\": \"boolean\"}"},
    [SETTING_MODE] = {"mode", "{\"type\": \"string\", \"pattern\": \"^0{0,2}[0-7]{3}$\"}"},
    [SETTING_STRING] = {"string", "{\"type\": \"string\", \"minLength\": 1}"},
    [SETTING_PATH] = {"path", "{\"type\": \"string\", \"minLength\": 1}"},
    [SETTING_ADDRESS] = {"address", "{\"type\": \"string\", \"minLength\": 1}"},
    [SETTING_WORD] = {"word", "{\"type\": \"string\"}"},
    [SETTING_STRINGS] = {"strings",
                         "{\"type\": \"array\", \"items\": {\"type\": \"string\"}, \"minItems\": 1}"},
    [SETTING_MAP] = {"map", "{\"type\": \"object\", \"propertyNames\": {\"pattern\": \"^[^=]+$\"},"
                            " \"additionalProperties\": {\"type\": \"string\"}}"},
    [SETTING_LISTS] = {"lists", "{\"type\": \"object\", \"propertyNames\": {\"pattern\": \"^[^=]+$\"},"
                                " \"additionalProperties\": {\"$ref\": \"#/$defs/strings\"}}"},
};

/* Reload class in words. */
static const char *const reloads[] = {
    [RELOAD_LIVE] = "A reload applies it at once.",
    [RELOAD_WORKERS] = "A reload applies a change to new workers.",
    [RELOAD_LISTEN] = "A reload applies it: the pool moves there.",
    [RELOAD_RESTART] = "A change needs a restart.",
};

static json_t *parse(const char *text)
{
    return memory_must(json_loads(text, JSON_DECODE_ANY, NULL));
}

/* A stored number as it stands in a control file. */
static json_t *number_json(const struct setting *setting, int64_t number)
{
    char text[CONF_VALUE_SIZE];
    conf_value_json(setting->type, number, text);
    return parse(text);
}

/* An end of the range, in the unit of a plain number. */
static json_t *bound_json(const struct setting *setting, int64_t number)
{
    bool whole = setting->type != SETTING_SECONDS || number % 1000 == 0;
    int64_t unit = setting->type == SETTING_SECONDS ? 1000 : 1;
    return memory_must(whole ? json_integer(number / unit) : json_real((double)number / 1000));
}

static void add_range(json_t *schema, const struct setting *setting)
{
    if (setting->type == SETTING_MODE)
        ASSERT(setting->low == 0 && setting->high == 0777); /* the pattern's range */
    if (setting->type == SETTING_MODE || setting->type == SETTING_SWITCH)
        return;
    json_object_set_new(schema, "minimum", bound_json(setting, setting->low));
    if (setting->high != SETTING_UNLIMITED)
        json_object_set_new(schema, "maximum", bound_json(setting, setting->high));
}

/* "info|debug|error": the words, and the first as the default. */
static void add_words(json_t *schema, const char *words)
{
    json_t *list = memory_must(json_array());
    for (;;) {
        size_t length = strcspn(words, "|");
        json_array_append_new(list, memory_must(json_stringn(words, length)));
        if (!words[length])
            break;
        words += length + 1;
    }
    json_object_set(schema, "default", json_array_get(list, 0));
    json_object_set_new(schema, "enum", list);
}

static json_t *setting_schema(const struct setting *setting)
{
    json_t *schema = memory_must(json_object());
    const char *help_end = strchr(setting->help, '\0') - 1;

    json_object_set_new(
        schema, "description",
        memory_must(json_sprintf("%s%s %s%s", setting->help, *help_end == '.' ? "" : ".",
                                 reloads[setting->reload], setting->in_effect ? "" : " Not yet in effect.")));
    json_object_set_new(schema, "$ref", memory_must(json_sprintf("#/$defs/%s", types[setting->type].name)));
    if (setting->type == SETTING_WORD) {
        add_words(schema, setting->text_default);
    } else if (!setting_is_number(setting)) {
        if (setting->text_default)
            json_object_set_new(schema, "default", memory_must(json_string(setting->text_default)));
    } else {
        if (setting->number_default != SETTING_UNSET)
            json_object_set_new(schema, "default", number_json(setting, setting->number_default));
        add_range(schema, setting);
    }
    return schema;
}

static json_t *object_schema(const char *type)
{
    return memory_must(
        json_pack("{s:o, s:{}, s:b}", "type", parse(type), "properties", "additionalProperties", 0));
}

/* The properties of group `name` ("log"), which is added to `properties` where it is missing. */
static json_t *group_properties(json_t *properties, const char *name)
{
    json_t *group = json_object_get(properties, name);
    if (!group) {
        bool counts = strcmp(name, "workers") == 0;
        group = object_schema(counts ? "[\"integer\", \"object\"]" : "\"object\"");
        /* "workers": N sets both ends, and has to be right for both. */
        if (counts)
            add_range(group, &settings_table[SETTING_ID_workers_max]);
        json_object_set_new(properties, name, group);
    }
    return json_object_get(group, "properties");
}

static void add_setting(json_t *properties, const struct setting *setting)
{
    const char *dot = strchr(setting->path, '.');
    const char *key = setting->path;

    if (dot) {
        char *group __attribute__((cleanup(memory_free_text))) =
            memory_must(strndup(key, (size_t)(dot - key)));
        properties = group_properties(properties, group);
        key = dot + 1;
    }
    json_object_set_new(properties, key, setting_schema(setting));
}

json_t *conf_schema(void)
{
    json_t *schema = memory_must(
        json_pack("{s:s, s:s, s:[s], s:[{s:[s]}, {s:[s]}]}", "$schema",
                  "https://json-schema.org/draft/2020-12/schema", "title", "Control file of a fcgipool pool",
                  "required", settings_table[SETTING_ID_LISTEN].path, "oneOf", "required",
                  settings_table[SETTING_ID_COMMAND].path, "required", settings_table[SETTING_ID_APP].path));
    json_t *file = object_schema("\"object\"");
    json_t *definitions = memory_must(json_object());

    for (int id = 0; id < SETTING_IDS; id++)
        add_setting(json_object_get(file, "properties"), &settings_table[id]);
    json_object_update(schema, file);
    json_decref(file);
    for (size_t type = 0; type < sizeof types / sizeof *types; type++)
        json_object_set_new(definitions, types[type].name, parse(types[type].schema));
    json_object_set_new(schema, "$defs", definitions);
    return schema;
}
