/* The settings table and the defaults; see settings.h. */
#include "pool/settings.h"

#include "pool/assert.h"

#include <string.h>

#define EFFECT_NOW   true
#define EFFECT_LATER false

const struct setting settings_table[SETTING_IDS] = {
#define NUMBER(field, path_, type_, default_, low_, high_, reload_, effect_, help_)                          \
    [SETTING_ID_##field] = {                                                                                 \
        .path = path_,                                                                                       \
        .type = SETTING_##type_,                                                                             \
        .reload = RELOAD_##reload_,                                                                          \
        .in_effect = EFFECT_##effect_,                                                                       \
        .number_default = default_,                                                                          \
        .low = low_,                                                                                         \
        .high = high_,                                                                                       \
        .offset = offsetof(struct settings, field),                                                          \
        .help = help_,                                                                                       \
    },
#define TEXT(id, path_, type_, default_, reload_, effect_, help_)                                            \
    [SETTING_ID_##id] = {                                                                                    \
        .path = path_,                                                                                       \
        .type = SETTING_##type_,                                                                             \
        .reload = RELOAD_##reload_,                                                                          \
        .in_effect = EFFECT_##effect_,                                                                       \
        .text_default = default_,                                                                            \
        .help = help_,                                                                                       \
    },
#include "pool/settings.def"
#undef NUMBER
#undef TEXT
};

bool setting_is_number(const struct setting *setting)
{
    return setting->type <= SETTING_MODE;
}

int settings_find(const char *path)
{
    for (int id = 0; id < SETTING_IDS; id++)
        if (strcmp(settings_table[id].path, path) == 0)
            return id;
    return -1;
}

void settings_init(struct settings *settings)
{
    for (int id = 0; id < SETTING_IDS; id++)
        if (setting_is_number(&settings_table[id]))
            settings_set(settings, (enum setting_id)id, settings_table[id].number_default);
}

int64_t settings_get(const struct settings *settings, enum setting_id id)
{
    int64_t value;
    ASSERT(setting_is_number(&settings_table[id]));
    memcpy(&value, (const char *)settings + settings_table[id].offset, sizeof value);
    return value;
}

void settings_set(struct settings *settings, enum setting_id id, int64_t value)
{
    ASSERT(setting_is_number(&settings_table[id]));
    memcpy((char *)settings + settings_table[id].offset, &value, sizeof value);
}

bool settings_static(const struct settings *settings)
{
    return settings->workers_min == settings->workers_max;
}
