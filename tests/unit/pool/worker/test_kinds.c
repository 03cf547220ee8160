/*
 * Workers of other makes: built for musl, with sanitizers, and under valgrind. A sanitizer that has something
 * to report ends its worker with a status of its own. What this machine cannot build is left out.
 */
#include "preload_world.h"

static const struct kind {
    const char *name;
    const char *argv[6];
} kinds[] = {
    {"musl, threads", {TEST_WAYS "_musl", "threads"}},
    {"musl, hand-over", {TEST_WAYS "_musl", "handover"}},
    {"musl, children of its own", {TEST_WAYS "_musl", "cgi"}},
    {"gcc asan", {TEST_WAYS "_gcc_address", "threads"}},
    {"gcc tsan", {TEST_WAYS "_gcc_thread", "threads"}},
    {"clang asan", {TEST_WAYS "_clang_address", "threads"}},
    {"clang tsan", {TEST_WAYS "_clang_thread", "threads"}},
    {"valgrind", {"/usr/bin/valgrind", "-q", "--error-exitcode=9", TEST_WAYS, "threads"}},
};

static void serve_and_drain(void **state)
{
    (void)state;
    setenv("ASAN_OPTIONS", "verify_asan_link_order=0", 1);
    setenv("TSAN_OPTIONS", "atexit_sleep_ms=0", 1);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct world world;
        if (access(kinds[i].argv[0], X_OK) != 0) {
            print_message("%s: not here\n", kinds[i].name);
            continue;
        }
        world_open(&world);
        struct worker worker = spawn_with(&world, kinds[i].argv, NULL);
        for (int j = 0; j < 20; j++)
            assert_true(is_served(&world, "/any"));
        WAIT(connections(&worker, PAGE_FREE) == 0);
        assert_int_equal(worker.page->report.requests, 20);
        assert_int_equal(worker_drain(&worker), 0);
        world_close(&world);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(serve_and_drain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
