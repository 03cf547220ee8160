/* Durations, sizes, modes and switches between text and number; see conf_value.h. */
#include "daemon/conf/conf_value.h"

#include "daemon/base/unicode.h"
#include "pool/assert.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Largest first. */
struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit time_units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {NULL, 0}};
static const struct unit size_units[] = {{"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"", 1}, {NULL, 0}};

void conf_value_describe(const json_t *value, char ret_text[static CONF_VALUE_SIZE])
{
    const char *string = json_string_value(value);

    if (string)
        snprintf(ret_text, CONF_VALUE_SIZE, "the string \"%.*s%s\"", (int)unicode_cut(string, 40), string,
                 strlen(string) > 40 ? "..." : "");
    else if (json_is_integer(value))
        snprintf(ret_text, CONF_VALUE_SIZE, "the number %" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        snprintf(ret_text, CONF_VALUE_SIZE, "the number %g", json_real_value(value));
    else
        snprintf(ret_text, CONF_VALUE_SIZE, "%s",
                 json_is_true(value)     ? "true"
                 : json_is_false(value)  ? "false"
                 : json_is_array(value)  ? "an array"
                 : json_is_object(value) ? "an object"
                                         : "null");
}

/* "info|debug|error" -> `"info", "debug" or "error"`. */
static void list_words(const char *words, char *ret_text, size_t size)
{
    size_t used = 0;
    ret_text[0] = '\0';
    while (used < size) {
        size_t length = strcspn(words, "|");
        const char *link = used == 0 ? "" : words[length] ? ", " : " or ";
        used += (size_t)snprintf(ret_text + used, size - used, "%s\"%.*s\"", link, (int)length, words);
        if (!words[length])
            break;
        words += length + 1;
    }
}

int conf_value_wrong_type(const struct setting *setting, const json_t *value, struct problem *problem)
{
    static const char *const expected[] = {
        [SETTING_COUNT] = "a whole number like 4",
        [SETTING_CHOICE] = "a whole number like 4, or \"auto\"",
        [SETTING_SECONDS] = "a number of seconds like 30, or \"500ms\", \"30s\", \"5m\", \"1h\"",
        [SETTING_SIZE] = "a number of bytes like 65536, or \"64K\", \"256M\", \"2G\"",
        [SETTING_LIMIT] = "a number like 65536, or \"64K\", \"256M\", \"2G\", or \"unlimited\"",
        [SETTING_QUANTITY] = "a whole number like 512, or \"unlimited\"",
        [SETTING_INTEGER] = "a whole number like -5",
        [SETTING_SWITCH] = "true or false",
        [SETTING_MODE] = "an octal mode in quotes like \"0660\"",
        [SETTING_STRING] = "a string like \"app\"",
        [SETTING_PATH] = "a path like \"/srv/app\"",
        [SETTING_ADDRESS] = "an address like \"unix:/run/app.sock\" or \"127.0.0.1:9000\"",
        [SETTING_STRINGS] = "a list of strings like [\"./app.fcgi\", \"--verbose\"]",
        [SETTING_MAP] = "an object of strings like {\"KEY\": \"value\"}",
        [SETTING_LISTS] = "an object of lists like {\"KEY\": [\"value\", \"value\"]}",
    };
    char found[CONF_VALUE_SIZE], words[256];
    const char *wanted = expected[setting->type];

    conf_value_describe(value, found);
    if (setting == &settings_table[SETTING_ID_ALLOWED_CLIENTS])
        wanted = "a list of addresses and networks like [\"10.0.0.0/8\", \"::1\"]";
    if (setting->type == SETTING_WORD) {
        list_words(setting->text_default, words, sizeof words);
        wanted = words;
    }
    return problem_set(problem, -EINVAL, "found %s, expected %s", found, wanted);
}

static int out_of_range(const struct setting *setting, const json_t *value, struct problem *problem)
{
    char given[CONF_VALUE_SIZE], low[CONF_VALUE_SIZE], high[CONF_VALUE_SIZE];

    conf_value_describe(value, given);
    conf_value_text(setting->type, setting->low, low);
    conf_value_text(setting->type, setting->high, high);
    return problem_set(problem, -ERANGE, "%s is out of range: %s to %s",
                       given + (json_is_number(value) ? strlen("the number ") : strlen("the string ")), low,
                       high);
}

/* Digits and one of the units. Returns 0, -EINVAL or -ERANGE (no int64_t can hold it). */
static int parse_units(const char *text, const struct unit *units, int64_t *ret_number)
{
    char *end;
    if (!isdigit((unsigned char)text[0]))
        return -EINVAL;
    errno = 0;
    intmax_t count = strtoimax(text, &end, 10);
    int error = errno;
    for (; units->name; units++)
        if (strcmp(units->name, end) == 0)
            return error || __builtin_mul_overflow(count, units->factor, ret_number) ? -ERANGE : 0;
    return -EINVAL;
}

/* Seconds to milliseconds. What is finer than that would turn into 0, which often means "no limit". */
static int parse_real_seconds(double seconds, int64_t *ret_number)
{
    if (!(seconds >= 0 && seconds < 1e12))
        return -ERANGE;
    int64_t ms = (int64_t)(seconds * 1000 + 0.5);
    double rest = seconds * 1000 - (double)ms;
    if (rest < -1e-3 || rest > 1e-3)
        return -EDOM;
    *ret_number = ms;
    return 0;
}

static int parse_seconds(const json_t *value, int64_t *ret_number)
{
    if (json_is_string(value))
        return parse_units(json_string_value(value), time_units, ret_number);
    if (json_is_real(value))
        return parse_real_seconds(json_real_value(value), ret_number);
    if (!json_is_integer(value))
        return -EINVAL;
    return __builtin_mul_overflow(json_integer_value(value), 1000, ret_number) ? -ERANGE : 0;
}

static int parse_integer(const json_t *value, int64_t *ret_number)
{
    if (!json_is_integer(value))
        return -EINVAL;
    *ret_number = json_integer_value(value);
    return 0;
}

static int parse_mode(const json_t *value, int64_t *ret_number)
{
    const char *text = json_string_value(value);
    if (!text || strlen(text) < 3 || strlen(text) > 5 || strspn(text, "01234567") != strlen(text))
        return -EINVAL;
    *ret_number = strtol(text, NULL, 8);
    return 0;
}

static bool is_word(const json_t *value, const char *word)
{
    return json_is_string(value) && strcmp(json_string_value(value), word) == 0;
}

static int parse(enum setting_type type, const json_t *value, int64_t *ret_number)
{
    if (type == SETTING_SECONDS)
        return parse_seconds(value, ret_number);
    if (type == SETTING_MODE)
        return parse_mode(value, ret_number);
    if ((type == SETTING_LIMIT || type == SETTING_QUANTITY) && is_word(value, "unlimited")) {
        *ret_number = SETTING_UNLIMITED;
        return 0;
    }
    if (type == SETTING_CHOICE && is_word(value, "auto")) {
        *ret_number = SETTING_AUTO;
        return 0;
    }
    if ((type == SETTING_SIZE || type == SETTING_LIMIT) && json_is_string(value))
        return parse_units(json_string_value(value), size_units, ret_number);
    if (type != SETTING_SWITCH)
        return parse_integer(value, ret_number);
    if (!json_is_boolean(value))
        return -EINVAL;
    *ret_number = json_is_true(value);
    return 0;
}

int conf_value_number(const struct setting *setting, const json_t *value, int64_t *ret_number,
                      struct problem *problem)
{
    int64_t number = 0;
    ASSERT(setting_is_number(setting));

    int r = parse(setting->type, value, &number);
    if (r == -EINVAL)
        return conf_value_wrong_type(setting, value, problem);
    if (r == -EDOM)
        return problem_set(problem, -EINVAL, "%g is finer than a millisecond", json_real_value(value));
    if (r < 0 || (number != SETTING_AUTO && (number < setting->low || number > setting->high)))
        return out_of_range(setting, value, problem);
    *ret_number = number;
    return 0;
}

/* In the largest unit that divides it. */
static void format_units(int64_t number, const struct unit *units, char *ret_text)
{
    while (number % units->factor != 0)
        units++;
    snprintf(ret_text, CONF_VALUE_SIZE, "%" PRId64 "%s", number / units->factor, units->name);
}

void conf_value_text(enum setting_type type, int64_t number, char ret_text[static CONF_VALUE_SIZE])
{
    if (number == SETTING_UNSET)
        snprintf(ret_text, CONF_VALUE_SIZE, "null");
    else if (number == SETTING_AUTO)
        snprintf(ret_text, CONF_VALUE_SIZE, "auto");
    else if (type == SETTING_SECONDS)
        format_units(number, number ? time_units : &time_units[2], ret_text);
    else if ((type == SETTING_LIMIT || type == SETTING_QUANTITY) && number == SETTING_UNLIMITED)
        snprintf(ret_text, CONF_VALUE_SIZE, "unlimited");
    else if (type == SETTING_SIZE || type == SETTING_LIMIT)
        format_units(number, number ? size_units : &size_units[3], ret_text);
    else if (type == SETTING_MODE)
        snprintf(ret_text, CONF_VALUE_SIZE, "%04" PRIo64, (uint64_t)number);
    else if (type == SETTING_SWITCH)
        snprintf(ret_text, CONF_VALUE_SIZE, "%s", number ? "true" : "false");
    else
        snprintf(ret_text, CONF_VALUE_SIZE, "%" PRId64, number);
}

void conf_value_json(enum setting_type type, int64_t number, char ret_text[static CONF_VALUE_SIZE])
{
    char text[CONF_VALUE_SIZE];

    if (type == SETTING_SECONDS && number % 1000 == 0) {
        snprintf(ret_text, CONF_VALUE_SIZE, "%" PRId64, number / 1000);
        return;
    }
    conf_value_text(type, number, text);
    bool has_words =
        type == SETTING_SIZE || type == SETTING_LIMIT || type == SETTING_QUANTITY || type == SETTING_CHOICE;
    bool quoted = number != SETTING_UNSET && (type == SETTING_SECONDS || type == SETTING_MODE ||
                                              (has_words && !isdigit((unsigned char)text[strlen(text) - 1])));
    snprintf(ret_text, CONF_VALUE_SIZE, quoted ? "\"%.60s\"" : "%.62s", text);
}
