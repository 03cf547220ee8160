/* The address that the pool listens on, and who owns its socket; see conf_object.h. */
#include "daemon/base/memory.h"
#include "daemon/base/paths.h"
#include "daemon/conf/conf_object.h"
#include "daemon/kernel/address.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <string.h>

static bool is_path(const char *text)
{
    return strncmp(text, "unix:", 5) == 0 && text[5] != '@';
}

/* Gives "unix:/absolute/path" for a path, and other addresses as they are. */
static int make_absolute(const struct conf *conf, const char *given, char **ret_text)
{
    char path[PATH_MAX];
    if (!is_path(given)) {
        *ret_text = memory_must(strdup(given));
        return 0;
    }
    int r = paths_absolute(conf->texts[SETTING_ID_CHDIR], given + 5, path, sizeof path);
    if (r < 0)
        return r;
    *ret_text = memory_text("unix:%s", path);
    return 0;
}

/* What is clear from the text alone. */
static bool refuse_form(struct conf *conf, struct problems *problems, const char *given)
{
    enum setting_id id = SETTING_ID_LISTEN;

    if (strcmp(given, "systemd") == 0 || strncmp(given, "fd:", 3) == 0)
        conf_fault(conf, problems, id, "\"%s\" is not yet supported", given);
    else if (given[0] == '/' || strncmp(given, "./", 2) == 0)
        conf_fault(conf, problems, id, "a path needs \"unix:\" before it: \"unix:%s\"", given);
    else if (strcmp(given, "unix:") == 0)
        conf_fault(conf, problems, id, "there is no path behind \"unix:\"");
    else
        return false;
    return true;
}

static void resolve_address(struct conf *conf, struct problems *problems)
{
    enum setting_id id = SETTING_ID_LISTEN;
    const char *given = json_string_value(conf->values[id]);
    char *text __attribute__((cleanup(memory_free_text))) = NULL;
    struct address address;
    struct problem problem;

    if (!conf_given(conf, id))
        conf_fault(conf, problems, id,
                   "missing: the address that the web server connects to, like "
                   "\"unix:/run/app.sock\" or \"127.0.0.1:9000\"");
    if (!given || refuse_form(conf, problems, given))
        return;
    if (make_absolute(conf, given, &text) < 0) {
        conf_fault(conf, problems, id, "the path is longer than %d bytes", PATH_MAX - 1);
        return;
    }
    size_t length = strlen(text) - strlen("unix:");
    if (is_path(text) && length > CONF_SUN_PATH_MAX)
        conf_fault(conf, problems, id, "the path %s has %zu bytes; a unix socket takes at most %d", text + 5,
                   length, CONF_SUN_PATH_MAX);
    else if (address_parse(text, &address, &problem) < 0)
        conf_fault(conf, problems, id, "%s", problem.text);
    conf->texts[id] = text;
    text = NULL;
}

/* A number that a uid or gid can be. The highest means "leave it as it is" to chown. */
static bool parse_id(const char *text, unsigned *ret_id)
{
    char *end;
    if (!text[0] || strspn(text, "0123456789") != strlen(text))
        return false;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno || number >= UINT_MAX)
        return false;
    *ret_id = (unsigned)number;
    return true;
}

static void resolve_owner(struct conf *conf, struct problems *problems)
{
    const char *text = conf->texts[SETTING_ID_LISTEN_OWNER];
    if (!text || parse_id(text, &conf->owner))
        return;
    const struct passwd *user = getpwnam(text);
    if (user)
        conf->owner = user->pw_uid;
    else
        conf_fault(conf, problems, SETTING_ID_LISTEN_OWNER, "there is no user \"%s\"", text);
}

static void resolve_group(struct conf *conf, struct problems *problems)
{
    const char *text = conf->texts[SETTING_ID_LISTEN_GROUP];
    if (!text || parse_id(text, &conf->group))
        return;
    const struct group *group = getgrnam(text);
    if (group)
        conf->group = group->gr_gid;
    else
        conf_fault(conf, problems, SETTING_ID_LISTEN_GROUP, "there is no group \"%s\"", text);
}

/* Permissions mean nothing to TCP and to abstract sockets; who sets them expects protection. */
static void warn_of_permissions(struct conf *conf, struct problems *problems)
{
    static const enum setting_id ids[] = {SETTING_ID_listen_mode, SETTING_ID_LISTEN_OWNER,
                                          SETTING_ID_LISTEN_GROUP};
    const char *text = conf->texts[SETTING_ID_LISTEN];

    if (!text || is_path(text) || conf->places[SETTING_ID_LISTEN].faulty)
        return;
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        if (conf_given(conf, ids[i]))
            conf_warn(conf, problems, ids[i], "has no effect: \"%s\" is not a path", text);
}

void conf_resolve_listen(struct conf *conf, struct problems *problems)
{
    resolve_address(conf, problems);
    warn_of_permissions(conf, problems);
}

void conf_resolve_owner(struct conf *conf, const struct conf *former, struct problems *problems)
{
    if (former) {
        conf->owner = former->owner;
        conf->group = former->group;
        return;
    }
    resolve_owner(conf, problems);
    resolve_group(conf, problems);
}
