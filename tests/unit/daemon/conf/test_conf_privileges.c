/*
 * Whom the workers are to become and what they are given, as root and as an ordinary user. Who we are decides
 * what is right, so each case says for whom it is; root's are left out for others.
 */
#include "daemon/conf/conf.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define OTHER 54321 /* a user and a group that nobody has */

static char directory[64];
static const char *command = "/bin/true";

static void write_text(const char *name, const char *text, mode_t mode)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    fclose(file);
    if (mode)
        assert_int_equal(chmod(name, mode), 0);
}

static int setup(void **state)
{
    (void)state;
    command = "/bin/true";
    strcpy(directory, "/tmp/fcgipool-conf-XXXXXX");
    return !mkdtemp(directory) || chmod(directory, 0755) < 0 || chdir(directory) < 0;
}

static int teardown(void **state)
{
    (void)state;
    char remove[128];
    snprintf(remove, sizeof remove, "rm -r %s", directory);
    return chdir("/") < 0 || system(remove) != 0;
}

typedef int (*loader)(const char *, char *const *, size_t, struct problems *, struct conf **);

/* Loads a control file with the members `more`; all that is said about it is in `ret_said`. */
static struct conf *load_by(loader function, const char *more, char *ret_said, size_t size)
{
    struct problems problems = PROBLEMS_INIT;
    struct conf *conf = NULL;
    char text[1024];
    snprintf(text, sizeof text, "{\"listen\": \"unix:x\", \"command\": [\"%s\"]%s%s}", command,
             more[0] ? ", " : "", more);
    write_text("pool.json", text, 0644);
    FILE *out = fmemopen(ret_said, size, "w");
    int r = function("pool.json", NULL, 0, &problems, &conf);
    assert_true((r == 0) == (conf != NULL));
    problems_print(&problems, out);
    fclose(out);
    problems_fini(&problems);
    return conf;
}

static struct conf *load(const char *more, char *ret_said, size_t size)
{
    return load_by(conf_load, more, ret_said, size);
}

static struct conf *must_load(const char *more)
{
    char said[1024] = "";
    struct conf *conf = load(more, said, sizeof said);
    assert_non_null(conf);
    /* A container's root may be told that it will see little. */
    if (credentials_capable(CAP_SYS_PTRACE))
        assert_string_equal(said, "");
    return conf;
}

static void assert_refused(const char *more, const char *words)
{
    char said[1024] = "";
    struct conf *conf = load(more, said, sizeof said);
    conf_free(conf);
    if (conf || !strstr(said, words))
        fail_msg("%s: \"%s\" is not in \"%s\"", more, words, said);
}

/* What is right, but not ours to do: refused, and in conf_check a warning. */
static void assert_denied(const char *more, const char *words)
{
    char told[1024] = "";
    assert_refused(more, words);
    struct conf *conf = load_by(conf_check, more, told, sizeof told);
    if (!conf || !strstr(told, words) || !strstr(told, "warning: "))
        fail_msg("%s: \"%s\" is not a warning in \"%s\"", more, words, told);
    conf_free(conf);
}

static bool is_root(void)
{
    return geteuid() == 0 && credentials_capable(CAP_SETUID) && credentials_capable(CAP_SETGID);
}

/* Runs `check` as somebody without rights. */
static void as_ordinary_user(void (*check)(void))
{
    int status = -1;
    if (!is_root()) {
        check();
        return;
    }
    assert_int_equal(chown(directory, OTHER, OTHER), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (setgroups(0, NULL) != 0 || setresgid(OTHER, OTHER, OTHER) != 0 ||
            setresuid(OTHER, OTHER, OTHER) != 0)
            _exit(2);
        check();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* --- user and group --- */

static void nothing_is_changed_unless_asked_for(void **state)
{
    (void)state;
    size_t count = 1;
    struct conf *conf = must_load("");
    assert_null(conf_credentials(conf));
    assert_null(conf_nice(conf));
    (void)conf_limits(conf, &count);
    assert_int_equal(count, 0);
    conf_free(conf);
}

static void assert_becomes(const char *more, uid_t uid, gid_t gid)
{
    struct conf *conf = must_load(more);
    const struct credentials *credentials = conf_credentials(conf);
    assert_non_null(credentials);
    assert_int_equal(credentials->uid, uid);
    assert_int_equal(credentials->gid, gid);
    bool listed = false;
    for (size_t i = 0; i < credentials->group_count; i++)
        listed |= credentials->groups[i] == gid;
    assert_true(listed);
    conf_free(conf);
}

static void root_may_name_anybody(void **state)
{
    (void)state;
    if (!is_root())
        skip();
    const struct passwd *nobody = getpwnam("nobody");
    const struct group *users = getgrnam("users");
    assert_true(nobody && users);
    char more[128];
    assert_becomes("\"user\": \"nobody\"", nobody->pw_uid, nobody->pw_gid);
    snprintf(more, sizeof more, "\"user\": \"%u\"", nobody->pw_uid);
    assert_becomes(more, nobody->pw_uid, nobody->pw_gid);
    assert_becomes("\"user\": \"nobody\", \"group\": \"users\"", nobody->pw_uid, users->gr_gid);
    assert_becomes("\"user\": \"54321\", \"group\": \"54322\"", OTHER, OTHER + 1);
    assert_becomes("\"group\": \"users\"", 0, users->gr_gid);
    assert_becomes("\"user\": \"root\"", 0, 0);
    assert_refused("\"user\": \"54321\"",
                   "pool.json:1:56: user: there is no user with the uid 54321; such a one needs `group`");
    assert_refused("\"user\": \"4294967295\"", "there is no user \"4294967295\"");
}

/* As the system's own tool tells them. */
static void supplementary_groups_are_the_users(void **state)
{
    (void)state;
    if (!is_root())
        skip();
    static const char *const users[] = {"root", "daemon", "www-data"};
    for (size_t i = 0; i < 3; i++) {
        char more[64], tool_line[64], expected[1024] = "", found[1024] = "";
        const struct passwd *user = getpwnam(users[i]);
        if (!user)
            continue;
        snprintf(tool_line, sizeof tool_line, "id -G %s", users[i]);
        snprintf(more, sizeof more, "\"user\": \"%s\"", users[i]);
        FILE *tool = popen(tool_line, "r");
        assert_non_null(fgets(expected, sizeof expected, tool));
        pclose(tool);
        struct conf *conf = must_load(more);
        const struct credentials *credentials = conf_credentials(conf);
        size_t used = 0;
        for (size_t g = 0; g < credentials->group_count; g++)
            used += (size_t)snprintf(found + used, sizeof found - used, "%s%u", g ? " " : "",
                                     credentials->groups[g]);
        snprintf(found + used, sizeof found - used, "\n");
        assert_string_equal(found, expected);
        conf_free(conf);
    }
    struct conf *conf = must_load("\"user\": \"54321\", \"group\": \"54322\"");
    assert_int_equal(conf_credentials(conf)->group_count, 1);
    conf_free(conf);
}

static void name_oneself_and_others(void)
{
    char more[128];
    snprintf(more, sizeof more, "\"user\": \"%u\", \"group\": \"%u\"", geteuid(), getegid());
    struct conf *conf = must_load(more);
    assert_null(conf_credentials(conf));
    conf_free(conf);
    assert_denied("\"user\": \"root\"",
                  "user: only root can run workers as another user (\"root\"); this is uid ");
    assert_denied("\"user\": \"12345\", \"group\": \"12345\"",
                  "user: only root can run workers as another user");
    assert_denied("\"group\": \"root\"",
                  "group: only root can run workers as another group (\"root\"); this is gid ");
}

static void others_may_name_themselves_only(void **state)
{
    (void)state;
    as_ordinary_user(name_oneself_and_others);
}

/* A root that lacks two capabilities (the second may be the first again). */
static void as_root_without(int capability, int another, void (*check)(void))
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
        if (syscall(SYS_capget, &header, data) != 0)
            _exit(2);
        data[0].effective &= ~(CAP_TO_MASK(capability) | CAP_TO_MASK(another));
        if (syscall(SYS_capset, &header, data) != 0)
            _exit(2);
        check();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static const char *const others = "\"user\": \"54321\", \"group\": \"54322\"";

static void lack_setuid(void)
{
    char told[256] = "";
    assert_denied(others, "user: only root with CAP_SETUID can run workers as another user (\"54321\")");
    struct conf *conf = load("\"group\": \"54322\"", told, sizeof told);
    assert_non_null(conf_credentials(conf));
    conf_free(conf);
}

static void lack_setgid(void)
{
    assert_denied(others, "user: only root with CAP_SETGID can run workers as another user");
    assert_denied("\"group\": \"54322\"",
                  "group: only root with CAP_SETGID can run workers as another group");
}

static void lack_both(void)
{
    assert_denied(others, "user: only root with CAP_SETUID and CAP_SETGID can run workers as another user");
}

static void lack_kill(void)
{
    char told[256] = "";
    assert_denied(others, "user: without CAP_KILL the master cannot end workers of another user");
    struct conf *conf = load("\"group\": \"54322\"", told, sizeof told);
    assert_non_null(conf_credentials(conf));
    conf_free(conf);
}

static void root_without_a_right_is_told_which(void **state)
{
    (void)state;
    if (!is_root())
        skip();
    as_root_without(CAP_SETUID, CAP_SETUID, lack_setuid);
    as_root_without(CAP_SETGID, CAP_SETGID, lack_setgid);
    as_root_without(CAP_SETUID, CAP_SETGID, lack_both);
    as_root_without(CAP_KILL, CAP_KILL, lack_kill);
}

/* --- limits and priority --- */

static void limits_are_taken_soft_and_hard(void **state)
{
    (void)state;
    size_t count;
    struct conf *conf = must_load("\"nice\": 19, \"rlimits\": {\"core\": 0, \"nofile\": 64, \"cpu\": 3600}");
    const struct spawn_limit *limits = conf_limits(conf, &count);
    assert_int_equal(count, 3);
    assert_int_equal(limits[0].resource, RLIMIT_CORE);
    assert_true(limits[0].value.rlim_cur == 0 && limits[0].value.rlim_max == 0);
    assert_int_equal(limits[1].resource, RLIMIT_CPU);
    assert_true(limits[1].value.rlim_cur == 3600 && limits[1].value.rlim_max == 3600);
    assert_int_equal(limits[2].resource, RLIMIT_NOFILE);
    assert_true(limits[2].value.rlim_cur == 64 && limits[2].value.rlim_max == 64);
    assert_int_equal(*conf_nice(conf), 19);
    conf_free(conf);
}

static void unlimited_is_the_kernels_infinity(void **state)
{
    (void)state;
    size_t count;
    struct rlimit ours;
    assert_int_equal(getrlimit(RLIMIT_CPU, &ours), 0);
    if (ours.rlim_max != RLIM_INFINITY)
        skip();
    struct conf *conf = must_load("\"rlimits\": {\"cpu\": \"unlimited\"}");
    assert_true(conf_limits(conf, &count)->value.rlim_max == RLIM_INFINITY);
    conf_free(conf);
}

static void ask_too_much(void)
{
    const struct rlimit two = {2 << 20, 2 << 20}, none = {0, 0};
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &two), 0);
    conf_free(must_load("\"rlimits\": {\"memlock\": \"2M\"}"));
    assert_denied("\"rlimits\": {\"memlock\": \"3M\"}",
                  "rlimits.memlock: 3M is more than the hard limit, which is 2M; only root can raise it");
    assert_refused("\"rlimits\": {\"memlock\": \"unlimited\"}", "unlimited is more than the hard limit");

    assert_int_equal(setrlimit(RLIMIT_NICE, &none), 0);
    assert_int_equal(nice(3) < 0, 0);
    conf_free(must_load("\"nice\": 3"));
    assert_denied("\"nice\": 2",
                  "nice: 2 is less than 3, the least that is allowed here; only root can go below");
}

static void limits_of_others_end_at_the_hard_ones(void **state)
{
    (void)state;
    int status = -1;
    /* It cannot be undone. */
    pid_t pid = fork();
    if (pid == 0) {
        as_ordinary_user(ask_too_much);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void nobody_has_more_descriptors_than_the_kernel(void **state)
{
    (void)state;
    assert_refused("\"rlimits\": {\"nofile\": \"unlimited\"}",
                   "rlimits.nofile: unlimited is more than the kernel's fs.nr_open, which is ");
}

/* --- environment --- */

static void cleared_environment_is_env_alone(void **state)
{
    (void)state;
    char *before = strdup(getenv("PATH"));
    setenv("FCGIPOOL_TEST", "inherited", 1);
    struct conf *conf = must_load("\"clear_env\": true, \"env\": {\"A\": \"1\"}");
    assert_string_equal(conf_environment(conf)[0], "A=1");
    assert_null(conf_environment(conf)[1]);
    conf_free(conf);
    conf = must_load("\"clear_env\": true");
    assert_null(conf_environment(conf)[0]);
    conf_free(conf);

    /* The program is looked up where the workers would look. */
    char path[256], more[320];
    assert_int_equal(mkdir("bin", 0755), 0);
    write_text("bin/fcgipool-test-program", "#!/bin/sh\n", 0755);
    snprintf(path, sizeof path, "%s/bin", directory);
    snprintf(more, sizeof more, "\"clear_env\": true, \"env\": {\"PATH\": \"%s\"}", path);
    command = "fcgipool-test-program";
    conf_free(must_load(more));
    setenv("PATH", path, 1);
    assert_refused("\"clear_env\": true", "\"fcgipool-test-program\" is not in PATH");
    conf_free(must_load(""));
    command = "true";
    assert_refused("", "\"true\" is not in PATH");
    conf_free(must_load("\"clear_env\": true"));
    setenv("PATH", before, 1);
    free(before);
}

/* --- what the user will find --- */

static void probe(const char *more, char *ret_said, size_t size)
{
    struct problems problems = PROBLEMS_INIT;
    struct conf *conf = load(more, ret_said, size);
    assert_non_null(conf);
    ret_said[0] = '\0';
    FILE *out = fmemopen(ret_said, size, "w");
    conf_probe(conf, &problems);
    problems_print(&problems, out);
    fclose(out);
    problems_fini(&problems);
    conf_free(conf);
}

static void probe_tells_what_the_user_cannot_reach(void **state)
{
    (void)state;
    char said[1024], expected[256];
    if (!is_root())
        skip();
    assert_int_equal(mkdir("closed", 0700), 0);
    write_text("closed/app", "#!/bin/sh\n", 0755);
    write_text("app", "#!/bin/sh\n", 0744);
    static const char *const who = "\"user\": \"54321\", \"group\": \"54321\"";
    char more[256];
    snprintf(more, sizeof more, "%s, \"chdir\": \"closed\"", who);
    probe(more, said, sizeof said);
    snprintf(expected, sizeof expected,
             "pool.json:1:92: warning: chdir: the workers' user (uid 54321) cannot enter %s/closed\n",
             directory);
    assert_string_equal(said, expected);
    probe(who, said, sizeof said);
    assert_string_equal(said, "");
    command = "./app";
    probe(who, said, sizeof said);
    snprintf(expected, sizeof expected,
             "pool.json:1:33: warning: command: the workers' user (uid 54321) cannot execute %s/app\n",
             directory);
    assert_string_equal(said, expected);
}

/* A user namespace that knows only one user. */
static void probe_alone(void)
{
    char told[1024];
    char map[32];
    snprintf(map, sizeof map, "0 %u 1", geteuid());
    /* Else /proc/self is root's after the change of user. */
    if (prctl(PR_SET_DUMPABLE, 1) != 0 || unshare(CLONE_NEWUSER) != 0)
        _exit(0);
    write_text("/proc/self/setgroups", "deny", 0);
    write_text("/proc/self/uid_map", map, 0);
    write_text("/proc/self/gid_map", map, 0);
    probe(others, told, sizeof told);
    if (!strstr(told, "warning: user: workers cannot be started with uid 54321 and gid 54322: setgroups: "
                      "Operation not permitted"))
        fail_msg("\"%s\"", told);
}

static void probe_tells_that_nobody_can_be_become(void **state)
{
    (void)state;
    as_ordinary_user(probe_alone);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_changed_unless_asked_for),   TEST(root_may_name_anybody),
        TEST(supplementary_groups_are_the_users),    TEST(others_may_name_themselves_only),
        TEST(limits_are_taken_soft_and_hard),        TEST(unlimited_is_the_kernels_infinity),
        TEST(limits_of_others_end_at_the_hard_ones), TEST(nobody_has_more_descriptors_than_the_kernel),
        TEST(root_without_a_right_is_told_which),    TEST(probe_tells_that_nobody_can_be_become),
        TEST(cleared_environment_is_env_alone),      TEST(probe_tells_what_the_user_cannot_reach),
    };
    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
