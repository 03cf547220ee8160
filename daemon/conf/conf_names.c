/*
 * Users and groups by name; see conf_object.h. Everything that asks the name service is here, and only
 * conf_resolve_names leads to it: it may take as long as it likes, and a running master must not. That one
 * looks into /etc/passwd and /etc/group alone.
 */
#include "daemon/base/memory.h"
#include "daemon/conf/conf_object.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

/* A number that a uid or gid can be. The highest means "leave it as it is" to chown and setresuid. */
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

/* Why there is no entry: POSIX knows no single way to say that nobody has the name. */
static bool service_failed(int error)
{
    return error && error != ENOENT && error != ESRCH && error != EBADF && error != EPERM;
}

static const struct passwd *local_user(const char *name)
{
    FILE *file = fopen("/etc/passwd", "re");
    const struct passwd *entry = NULL;
    while (file && (entry = fgetpwent(file)) && strcmp(entry->pw_name, name) != 0)
        ;
    if (file)
        fclose(file);
    return entry;
}

static const struct group *local_group(const char *name)
{
    FILE *file = fopen("/etc/group", "re");
    const struct group *entry = NULL;
    while (file && (entry = fgetgrent(file)) && strcmp(entry->gr_name, name) != 0)
        ;
    if (file)
        fclose(file);
    return entry;
}

/* The uid that the setting names, and its entry when it does so by name, else NULL. False: it is not set, or
 * there is none, which is then a fault. `local`: the name service is not asked. */
static bool find_user(struct conf *conf, enum setting_id id, bool local, uid_t *ret_uid,
                      const struct passwd **ret_entry, struct problems *problems)
{
    const char *text = conf->texts[id];
    *ret_entry = NULL;
    if (!text || conf->places[id].faulty)
        return false;
    if (parse_id(text, ret_uid))
        return true;
    errno = 0;
    *ret_entry = local ? local_user(text) : getpwnam(text);
    if (*ret_entry)
        *ret_uid = (*ret_entry)->pw_uid;
    else if (local)
        conf_fault(
            conf, problems, id,
            "there is no user \"%s\" in /etc/passwd, and a running master asks nobody else; give the uid",
            text);
    else if (service_failed(errno))
        conf_fault(conf, problems, id, "the user \"%s\" cannot be looked up: %s", text, strerror(errno));
    else
        conf_fault(conf, problems, id, "there is no user \"%s\"", text);
    return *ret_entry;
}

/* The gid likewise. */
static bool find_group(struct conf *conf, enum setting_id id, bool local, gid_t *ret_gid,
                       struct problems *problems)
{
    const char *text = conf->texts[id];
    if (!text || conf->places[id].faulty)
        return false;
    if (parse_id(text, ret_gid))
        return true;
    errno = 0;
    const struct group *group = local ? local_group(text) : getgrnam(text);
    if (group)
        *ret_gid = group->gr_gid;
    else if (local)
        conf_fault(
            conf, problems, id,
            "there is no group \"%s\" in /etc/group, and a running master asks nobody else; give the gid",
            text);
    else if (service_failed(errno))
        conf_fault(conf, problems, id, "the group \"%s\" cannot be looked up: %s", text, strerror(errno));
    else
        conf_fault(conf, problems, id, "there is no group \"%s\"", text);
    return group;
}

static char *copy(const char *text)
{
    return text ? memory_must(strdup(text)) : NULL;
}

/* `gid` and the groups that the user of this name is a member of; of nobody known (NULL): `gid`. */
static void set_groups(struct credentials *credentials, const char *name)
{
    int room = 16, count = room;
    free(credentials->groups);
    credentials->groups = memory_must(calloc((size_t)room, sizeof(gid_t)));
    credentials->groups[0] = credentials->gid;
    credentials->group_count = 1;
    if (!name)
        return;
    while (getgrouplist(name, credentials->gid, credentials->groups, &count) < 0) {
        room = count > room ? count : 2 * room;
        credentials->groups =
            memory_must(reallocarray(credentials->groups, (size_t)room, sizeof *credentials->groups));
        count = room;
    }
    credentials->group_count = (size_t)count;
}

/* The workers' user. Several may share its uid: what the name says counts, and only a number asks for whom it
 * stands. Its gid becomes theirs unless `group` is set. */
static bool find_workers_user(struct conf *conf, struct problems *problems)
{
    enum setting_id user = SETTING_ID_USER;
    struct credentials *credentials = &conf->credentials;
    const struct passwd *entry;

    if (!find_user(conf, user, false, &credentials->uid, &entry, problems))
        return false;
    errno = 0;
    if (!entry)
        entry = getpwuid(credentials->uid);
    if (entry) {
        credentials->gid = entry->pw_gid;
        conf->user = (struct conf_user){copy(entry->pw_name), copy(entry->pw_dir), copy(entry->pw_shell)};
    } else if (service_failed(errno)) {
        conf_fault(conf, problems, user, "the uid %s cannot be looked up: %s", conf->texts[user],
                   strerror(errno));
    } else if (!conf->texts[SETTING_ID_GROUP]) {
        conf_fault(conf, problems, user, "there is no user with the uid %s; such a one needs `group`",
                   conf->texts[user]);
    }
    return !conf->places[user].faulty;
}

static void find_workers_credentials(struct conf *conf, struct problems *problems)
{
    bool has_user = find_workers_user(conf, problems);
    bool has_group = find_group(conf, SETTING_ID_GROUP, false, &conf->credentials.gid, problems);

    if (conf->places[SETTING_ID_USER].faulty || conf->places[SETTING_ID_GROUP].faulty)
        return;
    if (has_user || has_group)
        set_groups(&conf->credentials, conf->user.name);
}

void conf_resolve_names(struct conf *conf, struct problems *problems)
{
    const struct passwd *unused;
    (void)find_user(conf, SETTING_ID_LISTEN_OWNER, false, &conf->owner, &unused, problems);
    (void)find_group(conf, SETTING_ID_LISTEN_GROUP, false, &conf->group, problems);
    find_workers_credentials(conf, problems);
}

static void keep_socket_owner(struct conf *conf, const struct conf *former, struct problems *problems)
{
    enum setting_id owner = SETTING_ID_LISTEN_OWNER, group = SETTING_ID_LISTEN_GROUP;
    const struct passwd *unused;
    if (conf_equal(conf, former, owner))
        conf->owner = former->owner;
    else
        (void)find_user(conf, owner, true, &conf->owner, &unused, problems);
    if (conf_equal(conf, former, group))
        conf->group = former->group;
    else
        (void)find_group(conf, group, true, &conf->group, problems);
}

void conf_keep_names(struct conf *conf, const struct conf *former, struct problems *problems)
{
    size_t size = former->credentials.group_count * sizeof(gid_t);

    keep_socket_owner(conf, former, problems);
    conf->credentials = former->credentials;
    conf->credentials.groups = memory_must(malloc(size + 1));
    if (size)
        memcpy(conf->credentials.groups, former->credentials.groups, size);
    conf->changes_credentials = former->changes_credentials;
    conf->changes_user = former->changes_user;
    conf->user =
        (struct conf_user){copy(former->user.name), copy(former->user.home), copy(former->user.shell)};
}
