/*
 * A control file that was read and found valid: one generation's settings.
 * Order of precedence: defaults < control file < `--set path=VALUE`.
 */
#ifndef FCGIPOOL_DAEMON_CONF_CONF_H
#define FCGIPOOL_DAEMON_CONF_CONF_H

#include "daemon/base/problem.h"
#include "daemon/kernel/cidr.h"
#include "daemon/kernel/spawn.h"
#include "pool/settings.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

struct conf;

/* Reads and validates `file` (a regular file of at most 1 MiB) with `set_count` overrides "path=VALUE" (VALUE
 * is JSON where it parses, else a string). Every fault and warning found is added to `problems`. Returns 0
 * and the object (owned by the caller), or -EINVAL (problems say why), -ENOENT and other read errors (also in
 * problems). */
__attribute__((warn_unused_result)) int conf_load(const char *file, char *const *sets, size_t set_count,
                                                  struct problems *problems, struct conf **ret_conf);

/* The same for who starts nothing: that we ourselves have no right to start it is a warning. */
__attribute__((warn_unused_result)) int conf_check(const char *file, char *const *sets, size_t set_count,
                                                   struct problems *problems, struct conf **ret_conf);

/* The same file with the same overrides again, for a running master: users and groups are not looked up (that
 * may wait for a name service), those of `former` stay. */
__attribute__((warn_unused_result)) int conf_reload(const struct conf *former, struct problems *problems,
                                                    struct conf **ret_conf);

/* True when both have the same effective value of the setting. */
bool conf_equal(const struct conf *a, const struct conf *b, enum setting_id id);

/* Accepts NULL. */
void conf_free(struct conf *conf);

/* True when the setting was given, in the file or by --set. */
bool conf_given(const struct conf *conf, enum setting_id id);

/* Puts the place of the setting's value into a problem that shows only when the value is used. */
void conf_locate_problem(const struct conf *conf, enum setting_id id, struct problem *problem);

/* The scalars; lives as long as the object. */
const struct settings *conf_settings(const struct conf *conf);

/* The value of a setting of type STRING, PATH (absolute), ADDRESS or WORD, its default, or NULL when not set.
 * NAME, CHDIR and CONTROL_SOCKET are always set. Lives as long as the object. */
const char *conf_text(const struct conf *conf, enum setting_id id);

/* What `listen` names: an address to bind, a socket that systemd passes to us ("systemd"), or one that was
 * left open for us ("fd:N"): then the number is given, which may be NULL. */
enum conf_listen { CONF_LISTEN_ADDRESS, CONF_LISTEN_SYSTEMD, CONF_LISTEN_FD };
enum conf_listen conf_listen(const struct conf *conf, int *ret_fd);

/* The JSON of a setting of type STRINGS or MAP, borrowed, or NULL when not set. */
json_t *conf_json(const struct conf *conf, enum setting_id id);

/* The control file, as an absolute path. */
const char *conf_file(const struct conf *conf);

/* Uid and gid of a unix socket, looked up at load; -1 when listen_owner or listen_group is not set. */
uid_t conf_listen_owner(const struct conf *conf);
gid_t conf_listen_group(const struct conf *conf);

/* Who the workers are to become, or NULL: who we are. Owned by the object, as are the following. */
const struct credentials *conf_credentials(const struct conf *conf);

/* The resource limits of the workers, and their priority or NULL: as ours. */
const struct spawn_limit *conf_limits(const struct conf *conf, size_t *ret_count);
const int *conf_nice(const struct conf *conf);

/* Who may connect by TCP; none: everybody. */
const struct cidr *conf_allowed_clients(const struct conf *conf, size_t *ret_count);

/* Warns when the workers' user cannot enter `chdir` or execute the program. Forks and waits: for `check`, not
 * for a master. */
void conf_probe(struct conf *conf, struct problems *problems);

/* A worker's arguments, and its whole environment: `env`, and unless `clear_env` is set, the master's as it
 * was at load, with HOME, USER, LOGNAME and SHELL of another user's. NULL-terminated; owned by the object. */
char **conf_argv(const struct conf *conf);
char **conf_environment(const struct conf *conf);

/* reload_on_change: absolute paths, NULL-terminated; owned by the object. */
char *const *conf_watched(const struct conf *conf);

/* The absolute path of the program of `command`, looked up now: from `chdir` when it has a slash, else in the
 * PATH of the workers' environment. Returns 0, -ENOENT, -EACCES (not executable), -EISDIR, or another -errno.
 */
__attribute__((warn_unused_result)) int conf_program(const struct conf *conf, char *ret_path, size_t size);

/* Program and arguments of a hook, one of SETTING_ID_HOOK_..., NULL-terminated, or NULL when it is not set;
 * owned by the object. */
#define CONF_HOOKS (SETTING_ID_HOOK_ON_EXIT - SETTING_ID_HOOK_ON_STARTING + 1)
char *const *conf_hook(const struct conf *conf, enum setting_id hook);

/* The absolute path of the program of a hook that is set: as conf_program, but for the PATH, which is ours.
 */
__attribute__((warn_unused_result)) int conf_hook_program(const struct conf *conf, enum setting_id hook,
                                                          char *ret_path, size_t size);

/* Where the pool of `file` has its control socket, even when the file is broken or gone: `name` and
 * `control_socket` are read leniently, else the file's stem decides. Writes an absolute path.
 * Returns 0, -ENAMETOOLONG, or -ENOENT (a relative `file`, and the working directory is gone). */
__attribute__((warn_unused_result)) int conf_control_socket(const char *file, char *ret_path, size_t size);

/* Writes one line a setting, "path = JSON value  # default, FILE:LINE or --set", in table order. */
void conf_dump(const struct conf *conf, FILE *stream);

#endif
