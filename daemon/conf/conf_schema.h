/*
 * The settings table as a JSON schema (draft 2020-12) of the control file, for editors, for validators and
 * for the generator of the man page.
 */
#ifndef FCGIPOOL_DAEMON_CONF_CONF_SCHEMA_H
#define FCGIPOOL_DAEMON_CONF_CONF_SCHEMA_H

#include <jansson.h>

/* The schema; owned by the caller. What it refuses, conf_load refuses too; it cannot know of files, users and
 * programs, of the range of durations and sizes in quotes, nor of settings that do not go together. */
json_t *conf_schema(void);

#endif
