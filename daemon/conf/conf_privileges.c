/*
 * What the workers are given at their start beside program and environment: user, limits, priority; and
 * whether we may give it; see conf_object.h. The names are already numbers (conf_names.c).
 */
#include "daemon/base/memory.h"
#include "daemon/conf/conf_object.h"
#include "daemon/conf/conf_value.h"
#include "pool/assert.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define NR_OPEN_FILE    "/proc/sys/fs/nr_open"
#define NR_OPEN_DEFAULT 1048576

/* Who could have what we may not give. In a container, root may be short of rights. */
static const char *who_could(const char *root_with)
{
    return geteuid() == 0 ? root_with : "only root";
}

/* --- user and group --- */

/* An ordinary user may name itself; that changes nothing. */
static void check_own(struct conf *conf, struct problems *problems, const char *who)
{
    const struct credentials *wanted = &conf->credentials;
    enum setting_id user = SETTING_ID_USER, group = SETTING_ID_GROUP;

    if (wanted->uid != geteuid())
        conf_denied(conf, problems, user, "%s can run workers as another user (\"%s\"); this is uid %u", who,
                    conf->texts[user], geteuid());
    else if (conf_given(conf, group) && wanted->gid != getegid())
        conf_denied(conf, problems, group, "%s can run workers as another group (\"%s\"); this is gid %u",
                    who, conf->texts[group], getegid());
}

/* Where root has few rights, as in many containers, it may be let to become others, and not to end them or to
 * look at them. */
static void check_hold(struct conf *conf, struct problems *problems)
{
    const struct credentials *wanted = &conf->credentials;
    bool other_user = wanted->uid != geteuid(), same = !other_user && wanted->gid == getegid();
    enum setting_id id = conf_given(conf, SETTING_ID_USER) ? SETTING_ID_USER : SETTING_ID_GROUP;

    if (other_user && !credentials_capable(CAP_KILL))
        conf_denied(conf, problems, id, "without CAP_KILL the master cannot end workers of another user");
    else if (!same && !credentials_capable(CAP_SYS_PTRACE))
        conf_warn(conf, problems, id,
                  "without CAP_SYS_PTRACE the master cannot see what workers of another user do: those to be "
                  "stopped are waited for until graceful_timeout");
}

void conf_resolve_credentials(struct conf *conf, struct problems *problems)
{
    struct credentials *wanted = &conf->credentials;
    const struct conf_place *user = &conf->places[SETTING_ID_USER], *group = &conf->places[SETTING_ID_GROUP];
    if (wanted->group_count == 0) {
        /* Asked for, and nobody has looked it up: the workers would have our rights. */
        ASSERT(user->faulty || group->faulty ||
               (user->source == CONF_DEFAULT && group->source == CONF_DEFAULT));
        return;
    }
    if (!conf_given(conf, SETTING_ID_USER))
        wanted->uid = geteuid();
    bool may_user = wanted->uid == geteuid() || credentials_capable(CAP_SETUID);
    bool may_groups = credentials_capable(CAP_SETGID);
    if (may_user && may_groups) {
        conf->changes_credentials = true;
        conf->changes_user = conf_given(conf, SETTING_ID_USER);
        check_hold(conf, problems);
    } else {
        check_own(conf, problems,
                  who_could(may_groups ? "only root with CAP_SETUID"
                            : may_user ? "only root with CAP_SETGID"
                                       : "only root with CAP_SETUID and CAP_SETGID"));
    }
}

/* --- limits --- */

static const struct {
    enum setting_id id;
    int resource;
} limits[] = {
    {SETTING_ID_rlimit_as, RLIMIT_AS},         {SETTING_ID_rlimit_core, RLIMIT_CORE},
    {SETTING_ID_rlimit_cpu, RLIMIT_CPU},       {SETTING_ID_rlimit_data, RLIMIT_DATA},
    {SETTING_ID_rlimit_fsize, RLIMIT_FSIZE},   {SETTING_ID_rlimit_memlock, RLIMIT_MEMLOCK},
    {SETTING_ID_rlimit_nofile, RLIMIT_NOFILE}, {SETTING_ID_rlimit_nproc, RLIMIT_NPROC},
    {SETTING_ID_rlimit_stack, RLIMIT_STACK},
};

#define LIMIT_COUNT (sizeof limits / sizeof limits[0])

/* The most descriptors that anybody can have, root included. */
static rlim_t most_descriptors(void)
{
    unsigned long long most = NR_OPEN_DEFAULT;
    FILE *file = fopen(NR_OPEN_FILE, "re");
    if (file && fscanf(file, "%llu", &most) != 1)
        most = NR_OPEN_DEFAULT;
    if (file)
        (void)fclose(file);
    return most;
}

static void check_limit(struct conf *conf, struct problems *problems, enum setting_id id,
                        const struct spawn_limit *limit)
{
    char wanted[CONF_VALUE_SIZE], most[CONF_VALUE_SIZE];
    struct rlimit ours;
    int64_t value = settings_get(&conf->settings, id);
    rlim_t highest = limit->resource == RLIMIT_NOFILE ? most_descriptors() : RLIM_INFINITY;

    conf_value_text(settings_table[id].type, value, wanted);
    if (limit->value.rlim_max > highest) {
        conf_value_text(settings_table[id].type, (int64_t)highest, most);
        conf_fault(conf, problems, id, "%s is more than the kernel's fs.nr_open, which is %s", wanted, most);
    } else if (getrlimit((__rlimit_resource_t)limit->resource, &ours) == 0 &&
               limit->value.rlim_max > ours.rlim_max && !credentials_capable(CAP_SYS_RESOURCE)) {
        conf_value_text(settings_table[id].type, (int64_t)ours.rlim_max, most);
        conf_denied(conf, problems, id, "%s is more than the hard limit, which is %s; %s can raise it",
                    wanted, most, who_could("only root with CAP_SYS_RESOURCE"));
    }
}

/* Soft and hard alike: what a worker could raise by itself would be no limit. */
static void resolve_limits(struct conf *conf, struct problems *problems)
{
    conf->limits = memory_must(calloc(LIMIT_COUNT, sizeof *conf->limits));
    for (size_t i = 0; i < LIMIT_COUNT; i++) {
        int64_t value = settings_get(&conf->settings, limits[i].id);
        if (value == SETTING_UNSET || conf->places[limits[i].id].faulty)
            continue;
        struct spawn_limit *limit = &conf->limits[conf->limit_count++];
        rlim_t number = value == SETTING_UNLIMITED ? RLIM_INFINITY : (rlim_t)value;
        *limit = (struct spawn_limit){limits[i].resource, {.rlim_cur = number, .rlim_max = number}};
        check_limit(conf, problems, limits[i].id, limit);
    }
}

/* What was reached may be kept, whatever RLIMIT_NICE says: it counts from 20 downwards. */
static void check_nice(struct conf *conf, struct problems *problems)
{
    enum setting_id id = SETTING_ID_nice;
    int64_t nice = conf->settings.nice;
    struct rlimit limit;

    if (nice == SETTING_UNSET || conf->places[id].faulty)
        return;
    conf->nice = (int)nice;
    int64_t lowest = getpriority(PRIO_PROCESS, 0);
    if (getrlimit(RLIMIT_NICE, &limit) == 0) {
        int64_t reach = 20 - (int64_t)(limit.rlim_cur < 40 ? limit.rlim_cur : 40);
        lowest = reach < lowest ? reach : lowest;
    }
    if (nice < lowest && !credentials_capable(CAP_SYS_NICE))
        conf_denied(conf, problems, id, "%d is less than %d, the least that is allowed here; %s can go below",
                    conf->nice, (int)lowest, who_could("only root with CAP_SYS_NICE"));
}

void conf_resolve_privileges(struct conf *conf, struct problems *problems)
{
    resolve_limits(conf, problems);
    check_nice(conf, problems);
}

const struct credentials *conf_credentials(const struct conf *conf)
{
    return conf->changes_credentials ? &conf->credentials : NULL;
}

const struct spawn_limit *conf_limits(const struct conf *conf, size_t *ret_count)
{
    *ret_count = conf->limit_count;
    return conf->limits;
}

const int *conf_nice(const struct conf *conf)
{
    return conf->settings.nice == SETTING_UNSET ? NULL : &conf->nice;
}
