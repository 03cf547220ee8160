/*
 * What is made of the name service's answers, and when it is asked. The service is ours: its functions are
 * replaced here.
 */
#include "daemon/conf/conf.h"
#include "daemon/kernel/credentials.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* --- the name service --- */

static char password[] = "x", names[][8] = {"first", "second", "bare"}, homes[][8] = {"/first", "/second"};
static char shells[][16] = {"/bin/first", "/bin/second"}, nothing[] = "";

/* Two share a uid, in different groups. */
static struct passwd users[] = {
    {names[0], password, 4000, 4001, nothing, homes[0], shells[0]},
    {names[1], password, 4000, 4002, nothing, homes[1], shells[1]},
    {names[2], password, 4003, 4003, nothing, nothing, nothing},
};

static int asked, failure;

struct passwd *getpwnam(const char *name)
{
    asked++;
    errno = failure;
    for (size_t i = 0; i < sizeof users / sizeof *users && !failure; i++)
        if (strcmp(users[i].pw_name, name) == 0)
            return &users[i];
    return NULL;
}

struct passwd *getpwuid(uid_t uid)
{
    asked++;
    errno = failure;
    for (size_t i = 0; i < sizeof users / sizeof *users && !failure; i++)
        if (users[i].pw_uid == uid)
            return &users[i];
    return NULL;
}

struct group *getgrnam(const char *name)
{
    (void)name;
    asked++;
    errno = failure;
    return NULL;
}

/* The user's own, and one that tells whose they are. */
int getgrouplist(const char *name, gid_t group, gid_t *groups, int *count)
{
    asked++;
    int room = *count;
    *count = 2;
    if (room < 2)
        return -1;
    groups[0] = group;
    groups[1] = strcmp(name, "second") == 0 ? 5002 : 5001;
    return 2;
}

/* --- the control file --- */

static char directory[64], said[1024];

static int setup(void **state)
{
    (void)state;
    asked = failure = 0;
    strcpy(directory, "/tmp/fcgipool-names-XXXXXX");
    setenv("HOME", "/ours", 1);
    setenv("SHELL", "/bin/ours", 1);
    setenv("XDG_RUNTIME_DIR", "/run/ours", 1);
    setenv("FCGIPOOL_TEST", "inherited", 1);
    return !mkdtemp(directory) || chdir(directory) < 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink("pool.json");
    return chdir("/") < 0 || rmdir(directory) < 0;
}

static void write_file(const char *more)
{
    FILE *file = fopen("pool.json", "w");
    assert_non_null(file);
    fprintf(file, "{\"listen\": \"unix:x\", \"command\": [\"/bin/true\"], %s}", more);
    fclose(file);
}

/* Loads, or with `former` loads again; NULL when the file is refused. What is said is in `said`. */
static struct conf *load(const struct conf *former, const char *more)
{
    struct problems problems = PROBLEMS_INIT;
    struct conf *conf = NULL;
    write_file(more);
    int r =
        former ? conf_reload(former, &problems, &conf) : conf_load("pool.json", NULL, 0, &problems, &conf);
    assert_true((r == 0) == (conf != NULL));
    said[0] = '\0';
    FILE *out = fmemopen(said, sizeof said, "w");
    problems_print(&problems, out);
    fclose(out);
    problems_fini(&problems);
    return conf;
}

static struct conf *must_load(const struct conf *former, const char *more)
{
    struct conf *conf = load(former, more);
    if (!conf)
        fail_msg("%s", said);
    return conf;
}

static bool may_change_users(void)
{
    return credentials_capable(CAP_SETUID) && credentials_capable(CAP_SETGID) &&
           credentials_capable(CAP_KILL);
}

static void assert_credentials(const struct conf *conf, uid_t uid, gid_t gid, gid_t other)
{
    const struct credentials *credentials = conf_credentials(conf);
    assert_non_null(credentials);
    assert_int_equal(credentials->uid, uid);
    assert_int_equal(credentials->gid, gid);
    assert_int_equal(credentials->groups[0], gid);
    assert_int_equal(credentials->group_count, other ? 2 : 1);
    if (other)
        assert_int_equal(credentials->groups[1], other);
}

/* The one value of the variable, or NULL. */
static const char *variable(const struct conf *conf, const char *name)
{
    const char *value = NULL;
    size_t length = strlen(name);
    for (char **entry = conf_environment(conf); *entry; entry++)
        if (strncmp(*entry, name, length) == 0 && (*entry)[length] == '=') {
            assert_null(value);
            value = *entry + length + 1;
        }
    return value;
}

/* --- who is meant --- */

static void name_decides_between_users_of_one_uid(void **state)
{
    (void)state;
    if (!may_change_users())
        skip();
    struct conf *conf = must_load(NULL, "\"user\": \"second\"");
    assert_credentials(conf, 4000, 4002, 5002);
    assert_string_equal(variable(conf, "HOME"), "/second");
    conf_free(conf);
    conf = must_load(NULL, "\"user\": \"4000\"");
    assert_credentials(conf, 4000, 4001, 5001);
    conf_free(conf);
    conf = must_load(NULL, "\"user\": \"second\", \"group\": \"6000\"");
    assert_credentials(conf, 4000, 6000, 5002);
    conf_free(conf);
}

static void failure_of_the_service_is_told(void **state)
{
    (void)state;
    failure = EIO;
    assert_null(load(NULL, "\"user\": \"first\""));
    assert_non_null(strstr(said, "user: the user \"first\" cannot be looked up: Input/output error"));
    assert_null(load(NULL, "\"user\": \"4000\""));
    assert_non_null(strstr(said, "user: the uid 4000 cannot be looked up: Input/output error"));
    assert_null(load(NULL, "\"listen_group\": \"web\""));
    assert_non_null(strstr(said, "listen_group: the group \"web\" cannot be looked up: Input/output error"));
    failure = ENOENT;
    assert_null(load(NULL, "\"user\": \"first\", \"listen_group\": \"web\""));
    assert_non_null(strstr(said, "user: there is no user \"first\""));
    assert_non_null(strstr(said, "listen_group: there is no group \"web\""));
}

/* --- the environment --- */

static void environment_is_the_users(void **state)
{
    (void)state;
    if (!may_change_users())
        skip();
    struct conf *conf = must_load(NULL, "\"user\": \"first\"");
    assert_string_equal(variable(conf, "HOME"), "/first");
    assert_string_equal(variable(conf, "USER"), "first");
    assert_string_equal(variable(conf, "LOGNAME"), "first");
    assert_string_equal(variable(conf, "SHELL"), "/bin/first");
    assert_string_equal(variable(conf, "FCGIPOOL_TEST"), "inherited");
    assert_null(variable(conf, "XDG_RUNTIME_DIR"));
    conf_free(conf);

    conf = must_load(
        NULL, "\"user\": \"first\", \"env\": {\"HOME\": \"/mine\", \"XDG_RUNTIME_DIR\": \"/run/mine\"}");
    assert_string_equal(variable(conf, "HOME"), "/mine");
    assert_string_equal(variable(conf, "XDG_RUNTIME_DIR"), "/run/mine");
    assert_string_equal(variable(conf, "USER"), "first");
    conf_free(conf);

    conf = must_load(NULL, "\"user\": \"first\", \"clear_env\": true");
    assert_null(conf_environment(conf)[0]);
    conf_free(conf);
}

/* Ours would be wrong all the same. */
static void what_is_not_known_of_the_user_is_not_set(void **state)
{
    (void)state;
    static const char *const texts[] = {"\"user\": \"bare\"", "\"user\": \"7000\", \"group\": \"7000\""};
    if (!may_change_users())
        skip();
    for (size_t i = 0; i < 2; i++) {
        struct conf *conf = must_load(NULL, texts[i]);
        assert_null(variable(conf, "HOME"));
        assert_null(variable(conf, "SHELL"));
        assert_string_equal(variable(conf, "FCGIPOOL_TEST"), "inherited");
        conf_free(conf);
    }
}

static void environment_is_ours_without_user(void **state)
{
    (void)state;
    struct conf *conf = must_load(NULL, "\"nice\": 19");
    assert_string_equal(variable(conf, "HOME"), "/ours");
    assert_string_equal(variable(conf, "XDG_RUNTIME_DIR"), "/run/ours");
    conf_free(conf);
    if (!credentials_capable(CAP_SETGID))
        return;
    conf = must_load(NULL, "\"group\": \"6000\"");
    assert_string_equal(variable(conf, "HOME"), "/ours");
    conf_free(conf);
}

/* --- reload --- */

/* Whatever the file says now, even of names that nobody has. */
static void reload_asks_nobody_and_changes_nobody(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "\"user\": \"second\", \"nice\": 19",
        "\"user\": \"none\", \"group\": \"none\"",
        "\"user\": \"1\", \"group\": \"1\"",
        "\"nice\": 19",
    };
    if (!may_change_users())
        skip();
    struct conf *conf = must_load(NULL, "\"user\": \"second\"");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        asked = 0;
        struct conf *next = must_load(conf, texts[i]);
        assert_string_equal(said, "");
        assert_int_equal(asked, 0);
        assert_credentials(next, 4000, 4002, 5002);
        assert_string_equal(variable(next, "HOME"), "/second");
        assert_string_equal(variable(next, "USER"), "second");
        conf_free(conf);
        conf = next;
    }
    conf_free(conf);
}

/* Of the socket it may be another one: a number, or who is in the files of this machine. */
static void reload_changes_the_owner_of_the_socket(void **state)
{
    (void)state;
    struct conf *conf = must_load(NULL, "\"listen_owner\": \"first\"");
    struct conf *same = must_load(conf, "\"listen_owner\": \"first\", \"nice\": 19");
    struct conf *number = must_load(conf, "\"listen_owner\": \"17\", \"listen_group\": \"18\"");
    struct conf *name = must_load(conf, "\"listen_owner\": \"root\", \"listen_group\": \"root\"");
    struct conf *none = must_load(conf, "\"nice\": 19");
    assert_int_equal(conf_listen_owner(same), 4000);
    assert_int_equal(conf_listen_owner(number), 17);
    assert_int_equal(conf_listen_group(number), 18);
    assert_int_equal(conf_listen_owner(name), 0);
    assert_int_equal(conf_listen_group(name), 0);
    assert_int_equal(conf_listen_owner(none), (uid_t)-1);
    asked = 0;
    assert_null(load(conf, "\"listen_owner\": \"second\", \"listen_group\": \"second\""));
    assert_non_null(strstr(said, "no user \"second\" in /etc/passwd"));
    assert_non_null(strstr(said, "no group \"second\" in /etc/group"));
    assert_int_equal(asked, 0);
    conf_free(same);
    conf_free(number);
    conf_free(name);
    conf_free(none);
    conf_free(conf);
}

/* Nor does one begin to change users. */
static void reload_without_user_stays_without(void **state)
{
    (void)state;
    struct conf *conf = must_load(NULL, "\"nice\": 19");
    struct conf *next = must_load(conf, "\"user\": \"second\", \"group\": \"none\"");
    assert_null(conf_credentials(next));
    assert_string_equal(variable(next, "HOME"), "/ours");
    assert_int_equal(asked, 0);
    conf_free(next);
    conf_free(conf);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(name_decides_between_users_of_one_uid),
        TEST(failure_of_the_service_is_told),
        TEST(environment_is_the_users),
        TEST(what_is_not_known_of_the_user_is_not_set),
        TEST(environment_is_ours_without_user),
        TEST(reload_asks_nobody_and_changes_nobody),
        TEST(reload_changes_the_owner_of_the_socket),
        TEST(reload_without_user_stays_without),
    };
    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
