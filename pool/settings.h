/*
 * The settings of a pool: the table (settings.def) as data, and the scalars of one control file.
 * Pure: reading a control file into it is daemon/conf's work.
 */
#ifndef FCGIPOOL_POOL_SETTINGS_H
#define FCGIPOOL_POOL_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers that are none: not set, left to the pool, and without end. */
#define SETTING_UNSET     INT64_MIN
#define SETTING_AUTO      (INT64_MIN + 1)
#define SETTING_UNLIMITED INT64_MAX

enum setting_type {
    SETTING_COUNT,
    SETTING_CHOICE,
    SETTING_SECONDS,
    SETTING_SIZE,
    SETTING_LIMIT,
    SETTING_QUANTITY,
    SETTING_INTEGER,
    SETTING_SWITCH,
    SETTING_MODE,
    SETTING_STRING,
    SETTING_PATH,
    SETTING_ADDRESS,
    SETTING_WORD,
    SETTING_STRINGS,
    SETTING_MAP,
    SETTING_LISTS,
};

/* What it takes to apply a new value to a running pool. */
enum setting_reload { RELOAD_LIVE, RELOAD_WORKERS, RELOAD_LISTEN, RELOAD_RESTART };

/* Settings by number, in table order: SETTING_ID_listen_mode, SETTING_ID_LISTEN, ... */
enum setting_id {
#define NUMBER(field, ...) SETTING_ID_##field,
#define TEXT(id, ...)      SETTING_ID_##id,
#include "pool/settings.def"
#undef NUMBER
#undef TEXT
    SETTING_IDS
};

/* One row of the table. */
struct setting {
    const char *path; /* dotted, as in the control file */
    enum setting_type type;
    enum setting_reload reload;
    bool in_effect;
    const char
        *text_default;      /* not scalar: the default, or NULL; SETTING_WORD: all words, the default first */
    int64_t number_default; /* scalar: default, or SETTING_UNSET, and closed range, in the stored unit */
    int64_t low, high;
    size_t offset; /* scalar: place of its int64_t in struct settings */
    const char *help;
};

/* The scalars of one control file. Durations are milliseconds, sizes bytes, switches 0 or 1. */
struct settings {
#define NUMBER(field, ...) int64_t field;
#define TEXT(id, ...)
#include "pool/settings.def"
#undef NUMBER
#undef TEXT
};

extern const struct setting settings_table[SETTING_IDS];

/* True when the setting is one of the int64_t of struct settings. */
bool setting_is_number(const struct setting *setting);

/* The number of the setting with this dotted path, or -1. */
int settings_find(const char *path);

/* Every scalar at its default. */
void settings_init(struct settings *settings);

/* The number that `id` (a scalar's) has in `settings`, to read or to set. */
int64_t settings_get(const struct settings *settings, enum setting_id id);
void settings_set(struct settings *settings, enum setting_id id, int64_t value);

/* True when the size of the pool is fixed (workers.min == workers.max). */
bool settings_static(const struct settings *settings);

#endif
