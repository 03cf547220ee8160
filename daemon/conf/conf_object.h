/*
 * The inside of struct conf, for the files that read a control file in three steps: conf_collect (JSON to
 * values, each looked at by itself), conf_resolve and conf_listen, conf_command (values to what the master
 * uses), conf_names, conf_privileges and conf_clients likewise, conf_combine (values that do not go
 * together). Nobody else includes this.
 */
#ifndef FCGIPOOL_DAEMON_CONF_CONF_OBJECT_H
#define FCGIPOOL_DAEMON_CONF_CONF_OBJECT_H

#include "daemon/conf/conf.h"
#include "daemon/conf/conf_where.h"

enum conf_source { CONF_DEFAULT, CONF_FILE, CONF_SET };

/* Where the value of a setting came from. */
struct conf_place {
    enum conf_source source;
    struct conf_where_spot spot; /* CONF_FILE: of the value */
    bool faulty;                 /* reported already; no use in judging it further */
};

/* What the name service says of the workers' user, or NULLs. */
struct conf_user {
    char *name;
    char *home;
    char *shell;
};

struct conf {
    char *named;     /* the control file as the user named it */
    char *file;      /* absolute */
    char *directory; /* of the file */
    char **sets;     /* the overrides, NULL-terminated */
    struct settings settings;
    struct conf_place places[SETTING_IDS];
    json_t *values[SETTING_IDS]; /* not scalar: as given, owned references; NULL when not given */
    char *texts[SETTING_IDS];    /* conf_text */
    uid_t owner;
    gid_t group;
    char **argv;
    char **watched;
    char **hooks[CONF_HOOKS]; /* NULL: not set */
    char **environment;
    struct credentials credentials; /* as asked for; no groups: not asked for */
    bool changes_credentials;       /* they are to be set, and we may */
    bool changes_user;              /* not only the group */
    struct conf_user user;
    bool lenient; /* conf_check */
    struct spawn_limit *limits;
    size_t limit_count;
    int nice;
    struct cidr *clients;
    size_t client_count;
};

/* Longest path that fits a unix socket's address. */
#define CONF_SUN_PATH_MAX 107

/* Adds a fault (and marks the setting faulty) or a warning at the place of setting `id`. */
__attribute__((format(printf, 4, 5))) void conf_fault(struct conf *conf, struct problems *problems,
                                                      enum setting_id id, const char *format, ...);
__attribute__((format(printf, 4, 5))) void conf_warn(struct conf *conf, struct problems *problems,
                                                     enum setting_id id, const char *format, ...);

/* Adds what we may not do: the file is right, but not ours to start. A fault, or in conf_check a warning. */
__attribute__((format(printf, 4, 5))) void conf_denied(struct conf *conf, struct problems *problems,
                                                       enum setting_id id, const char *format, ...);

/* Takes the values of the control file's JSON `root`, whose positions are in `where`. */
void conf_collect_file(struct conf *conf, json_t *root, const struct conf_where *where,
                       struct problems *problems);

/* Takes one override "path=VALUE". */
void conf_collect_set(struct conf *conf, const char *set, struct problems *problems);

/* Texts: chdir, name, paths, words and their defaults. */
void conf_resolve(struct conf *conf, struct problems *problems);

/* Users and groups by name: owner and group of the socket, user and group of the workers. Waits for the name
 * service. */
void conf_resolve_names(struct conf *conf, struct problems *problems);

/* Whether the workers' user is ours to give. After conf_resolve_names. */
void conf_resolve_credentials(struct conf *conf, struct problems *problems);

/* Instead of both, without the name service: the workers' user and group as in `former`, whatever they are
 * now, and what was said of it; other owners of the socket by /etc/passwd and /etc/group. */
void conf_keep_names(struct conf *conf, const struct conf *former, struct problems *problems);

/* Whether the workers' limits and priority are ours to give. */
void conf_resolve_privileges(struct conf *conf, struct problems *problems);

/* `listen`. */
void conf_resolve_listen(struct conf *conf, struct problems *problems);

/* allowed_clients. After conf_resolve_listen. */
void conf_resolve_clients(struct conf *conf, struct problems *problems);

/* argv and environment, hooks; the programs must be there. After the credentials. */
void conf_resolve_command(struct conf *conf, struct problems *problems);

/* What only shows when all values are known. */
void conf_combine(struct conf *conf, struct problems *problems);

/* True when `name` can name a pool; else `ret_why` (a static string) says what is wrong. */
bool conf_name_valid(const char *name, const char **ret_why);

#endif
