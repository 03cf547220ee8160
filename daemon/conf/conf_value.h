/*
 * Scalars of the settings table as people write them: "30s", "256M", "0660".
 */
#ifndef FCGIPOOL_DAEMON_CONF_CONF_VALUE_H
#define FCGIPOOL_DAEMON_CONF_CONF_VALUE_H

#include "daemon/base/problem.h"
#include "pool/settings.h"

#include <jansson.h>

#define CONF_VALUE_SIZE 64

/* The number that `value` means for `setting` (a scalar), in the stored unit and range. Returns 0, or -EINVAL
 * or -ERANGE with the reason in `problem`. */
__attribute__((warn_unused_result)) int conf_value_number(const struct setting *setting, const json_t *value,
                                                          int64_t *ret_number, struct problem *problem);

/* Writes a stored number for people: "30s", "100ms", "256M", "unlimited", "0660", "true", "4"; "null" when it
 * is not set. */
void conf_value_text(enum setting_type type, int64_t number, char ret_text[static CONF_VALUE_SIZE]);

/* The same as it stands in a control file: whole seconds as a number, what is no number in quotes. */
void conf_value_json(enum setting_type type, int64_t number, char ret_text[static CONF_VALUE_SIZE]);

/* Fills `problem` with "found the string "abc", expected a path like "/srv/app"". Returns -EINVAL. */
int conf_value_wrong_type(const struct setting *setting, const json_t *value, struct problem *problem);

/* Writes "the string "abc"", "the number 5", "an array"; long values are cut. */
void conf_value_describe(const json_t *value, char ret_text[static CONF_VALUE_SIZE]);

#endif
