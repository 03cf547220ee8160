/* "Did you mean": which setting a name that is none was meant to be. */
#include "daemon/conf/suggest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void assert_suggests(const char *path, const char *expected)
{
    const struct setting *setting = suggest_setting(path);
    if (!setting != !expected || (setting && strcmp(setting->path, expected) != 0))
        fail_msg("%s: %s, expected %s", path, setting ? setting->path : "nothing",
                 expected ? expected : "nothing");
}

static void test_suggestions(void **state)
{
    (void)state;
    assert_suggests("lisen", "listen");
    assert_suggests("lsiten", "listen");
    assert_suggests("listens", "listen");
    assert_suggests("Listen", "listen");
    assert_suggests("graceful-timeout", "graceful_timeout");
    assert_suggests("gracefull_timeout", "graceful_timeout");
    assert_suggests("log_level", "log.level");
    assert_suggests("loglevel", "log.level");
    assert_suggests("log.levle", "log.level");
    assert_suggests("level", "log.level");
    assert_suggests("log.timeout", "timeout");
    assert_suggests("workers.backlog", "backlog");
    assert_suggests("worker.min", "workers.min");
    assert_suggests("backoff_initial", "backoff.initial");
}

static void test_no_suggestions(void **state)
{
    (void)state;
    assert_suggests("", NULL);
    assert_suggests("x", NULL);
    assert_suggests("max", NULL); /* workers.max or backoff.max? */
    assert_suggests("something_else_entirely", NULL);
    assert_suggests("graceful_timeoutgraceful_timeoutgraceful_timeoutgraceful_timeout", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_suggestions),
        cmocka_unit_test(test_no_suggestions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
