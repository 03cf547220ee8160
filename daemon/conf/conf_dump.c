/* `check --dump`; see conf_dump in conf.h. */
#include "daemon/base/memory.h"
#include "daemon/conf/conf_object.h"
#include "daemon/conf/conf_value.h"

#include <string.h>

/* Values longer than this do not push the others' comments to the right. */
#define WIDEST_VALUE 40

/* The effective value as JSON, on the heap. */
static char *value_text(const struct conf *conf, enum setting_id id)
{
    const struct setting *setting = &settings_table[id];
    char number[CONF_VALUE_SIZE];

    if (setting_is_number(setting)) {
        conf_value_json(setting->type, settings_get(&conf->settings, id), number);
        return memory_must(strdup(number));
    }
    json_t *value = conf->texts[id] ? json_string(conf->texts[id]) : json_incref(conf->values[id]);
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY) : strdup("null");
    json_decref(value);
    return memory_must(text);
}

static void print_source(const struct conf *conf, enum setting_id id, FILE *stream)
{
    const struct conf_place *place = &conf->places[id];
    if (place->source == CONF_FILE)
        fprintf(stream, "%s:%u\n", conf->named, place->spot.line);
    else
        fprintf(stream, "%s\n", place->source == CONF_SET ? "--set" : "default");
}

void conf_dump(const struct conf *conf, FILE *stream)
{
    char *values[SETTING_IDS];
    int path_width = 0, value_width = 0;

    for (enum setting_id id = 0; id < SETTING_IDS; id++) {
        values[id] = value_text(conf, id);
        int path = (int)strlen(settings_table[id].path), value = (int)strlen(values[id]);
        if (path > path_width)
            path_width = path;
        if (value > value_width && value <= WIDEST_VALUE)
            value_width = value;
    }
    for (enum setting_id id = 0; id < SETTING_IDS; id++) {
        fprintf(stream, "%-*s = %-*s  # ", path_width, settings_table[id].path, value_width, values[id]);
        print_source(conf, id, stream);
        free(values[id]);
    }
}
