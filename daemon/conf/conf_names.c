/*
 * Users and groups by name; see conf_object.h. Everything that asks the name service is here, and only
 * conf_resolve_names leads to it: it may take as long as it likes, and a running master must not.
 */
#include "daemon/base/memory.h"
#include "daemon/conf/conf_object.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
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

/* The uid that the setting names. False: it is not set, or there is none, which is then a fault. */
static bool find_user(struct conf *conf, enum setting_id id, uid_t *ret_uid, struct problems *problems)
{
    const char *text = conf->texts[id];
    if (!text || conf->places[id].faulty)
        return false;
    if (parse_id(text, ret_uid))
        return true;
    const struct passwd *user = getpwnam(text);
    if (user)
        *ret_uid = user->pw_uid;
    else
        conf_fault(conf, problems, id, "there is no user \"%s\"", text);
    return user;
}

/* The gid likewise. */
static bool find_group(struct conf *conf, enum setting_id id, gid_t *ret_gid, struct problems *problems)
{
    const char *text = conf->texts[id];
    if (!text || conf->places[id].faulty)
        return false;
    if (parse_id(text, ret_gid))
        return true;
    const struct group *group = getgrnam(text);
    if (group)
        *ret_gid = group->gr_gid;
    else
        conf_fault(conf, problems, id, "there is no group \"%s\"", text);
    return group;
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

static void resolve_credentials(struct conf *conf, struct problems *problems)
{
    enum setting_id user = SETTING_ID_USER, group = SETTING_ID_GROUP;
    struct credentials *credentials = &conf->credentials;
    bool has_user = find_user(conf, user, &credentials->uid, problems);
    bool has_group = find_group(conf, group, &credentials->gid, problems);

    if (conf->places[user].faulty || conf->places[group].faulty)
        return;
    const struct passwd *known = has_user ? getpwuid(credentials->uid) : NULL;
    if (has_user && !has_group && !known) {
        conf_fault(conf, problems, user, "there is no user with the uid %s; such a one needs `group`",
                   conf->texts[user]);
        return;
    }
    if (has_user && !has_group)
        credentials->gid = known->pw_gid;
    if (has_user || has_group) {
        /* A name of several that share the uid: groups go by name. */
        bool by_number = known && strspn(conf->texts[user], "0123456789") == strlen(conf->texts[user]);
        char *name __attribute__((cleanup(memory_free_text))) =
            known ? memory_must(strdup(by_number ? known->pw_name : conf->texts[user])) : NULL;
        set_groups(credentials, name);
    }
}

void conf_resolve_names(struct conf *conf, struct problems *problems)
{
    (void)find_user(conf, SETTING_ID_LISTEN_OWNER, &conf->owner, problems);
    (void)find_group(conf, SETTING_ID_LISTEN_GROUP, &conf->group, problems);
    resolve_credentials(conf, problems);
}

void conf_keep_names(struct conf *conf, const struct conf *former)
{
    static const enum setting_id ids[] = {SETTING_ID_USER, SETTING_ID_GROUP};
    size_t size = former->credentials.group_count * sizeof(gid_t);

    conf->owner = former->owner;
    conf->group = former->group;
    conf->credentials = former->credentials;
    conf->credentials.groups = memory_must(malloc(size + 1));
    if (size)
        memcpy(conf->credentials.groups, former->credentials.groups, size);
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        if (!conf_equal(conf, former, ids[i]))
            conf->places[ids[i]].faulty = true;
}
