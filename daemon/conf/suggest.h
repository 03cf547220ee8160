/*
 * "Did you mean": the setting whose path is nearest to an unknown one.
 */
#ifndef FCGIPOOL_DAEMON_CONF_SUGGEST_H
#define FCGIPOOL_DAEMON_CONF_SUGGEST_H

#include "pool/settings.h"

/* The setting that `path` (dotted) was probably meant to be: alike but for a few letters, but for '_', '-'
 * and '.'
 * ("log_level"), or but for the group it was written in ("log.timeout", "level"). NULL: nothing is near. */
const struct setting *suggest_setting(const char *path);

#endif
