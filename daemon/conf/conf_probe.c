/*
 * What the workers' user will find when it starts: a child becomes that user and tries; see conf.h.
 */
#include "daemon/conf/conf_object.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum finding {
    FOUND_GOOD,
    FOUND_NO_GROUPS,
    FOUND_NO_GROUP,
    FOUND_NO_USER,
    FOUND_NO_DIRECTORY,
    FOUND_NO_PROGRAM
};

/* What the child tells by a pipe. */
struct discovery {
    enum finding finding;
    int error;
};

static enum finding try_all(const struct credentials *become, const char *directory, const char *program)
{
    if (setgroups(become->group_count, become->groups) != 0)
        return FOUND_NO_GROUPS;
    if (setresgid(become->gid, become->gid, become->gid) != 0)
        return FOUND_NO_GROUP;
    if (setresuid(become->uid, become->uid, become->uid) != 0)
        return FOUND_NO_USER;
    if (chdir(directory) != 0)
        return FOUND_NO_DIRECTORY;
    return access(program, X_OK) == 0 ? FOUND_GOOD : FOUND_NO_PROGRAM;
}

static bool probe(const struct credentials *become, const char *directory, const char *program,
                  struct discovery *ret_discovery)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    pid_t pid = fork();
    if (pid == 0) {
        struct discovery found = {.finding = try_all(become, directory, program)};
        found.error = errno;
        ssize_t ignored = write(ends[1], &found, sizeof found);
        (void)ignored;
        _exit(0);
    }
    close(ends[1]);
    bool told = pid > 0 && read(ends[0], ret_discovery, sizeof *ret_discovery) == sizeof *ret_discovery;
    close(ends[0]);
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return told;
}

void conf_probe(struct conf *conf, struct problems *problems)
{
    static const char *const steps[] = {"setgroups", "setresgid", "setresuid"};
    const struct credentials *become = &conf->credentials;
    const char *directory = conf->texts[SETTING_ID_CHDIR];
    char program[PATH_MAX];
    struct discovery found;

    if (!conf->changes_credentials || conf_program(conf, program, sizeof program) != 0 ||
        !probe(become, directory, program, &found))
        return;
    if (found.finding == FOUND_NO_DIRECTORY)
        conf_warn(conf, problems, SETTING_ID_CHDIR, "the workers' user (uid %u) cannot enter %s", become->uid,
                  directory);
    else if (found.finding == FOUND_NO_PROGRAM)
        conf_warn(conf, problems, conf_given(conf, SETTING_ID_APP) ? SETTING_ID_APP : SETTING_ID_COMMAND,
                  "the workers' user (uid %u) cannot execute %s", become->uid, program);
    else if (found.finding != FOUND_GOOD)
        conf_warn(conf, problems, conf->changes_user ? SETTING_ID_USER : SETTING_ID_GROUP,
                  "workers cannot be started with uid %u and gid %u: %s: %s", become->uid, become->gid,
                  steps[found.finding - FOUND_NO_GROUPS], strerror(found.error));
}
