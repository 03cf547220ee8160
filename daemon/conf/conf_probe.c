/*
 * What the workers' user will find when it starts: a child becomes that user and tries; see conf.h.
 */
#include "daemon/conf/conf_object.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Exit codes of the child. */
enum finding { FOUND_GOOD, FOUND_NO_DIRECTORY, FOUND_NO_PROGRAM, FOUND_NOTHING };

__attribute__((noreturn)) static void probe(const struct credentials *become, const char *directory,
                                            const char *program)
{
    if (setgroups(become->group_count, become->groups) != 0 ||
        setresgid(become->gid, become->gid, become->gid) != 0 ||
        setresuid(become->uid, become->uid, become->uid) != 0)
        _exit(FOUND_NOTHING);
    if (chdir(directory) != 0)
        _exit(FOUND_NO_DIRECTORY);
    _exit(access(program, X_OK) == 0 ? FOUND_GOOD : FOUND_NO_PROGRAM);
}

void conf_probe(struct conf *conf, struct problems *problems)
{
    char program[PATH_MAX];
    const char *directory = conf->texts[SETTING_ID_CHDIR];
    int status = 0;

    if (!conf->changes_credentials || conf_program(conf, program, sizeof program) != 0)
        return;
    pid_t pid = fork();
    if (pid == 0)
        probe(&conf->credentials, directory, program);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (pid < 0 || !WIFEXITED(status))
        return;
    if (WEXITSTATUS(status) == FOUND_NO_DIRECTORY)
        conf_warn(conf, problems, SETTING_ID_CHDIR, "the workers' user (uid %u) cannot enter %s",
                  conf->credentials.uid, directory);
    else if (WEXITSTATUS(status) == FOUND_NO_PROGRAM)
        conf_warn(conf, problems, SETTING_ID_COMMAND, "the workers' user (uid %u) cannot execute %s",
                  conf->credentials.uid, program);
}
