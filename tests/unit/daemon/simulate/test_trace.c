/* Traces from files, and what is wrong with them; what traces ask for. */
#include "tests/unit/daemon/simulate/scene.h"

#include "daemon/simulate/ideal.h"

#include <errno.h>
#include <unistd.h>

static char path[] = "/tmp/fcgipool-test-trace-XXXXXX";
static struct problems problems;

static int setup(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
    (void)state;
    return unlink(path);
}

static int end(void **state)
{
    problems_fini(&problems);
    return clear(state);
}

static int read_text(const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    return trace_read(path, &trace, &problems);
}

static void assert_fault(size_t i, unsigned line, unsigned column, const char *part)
{
    assert_true(i < problems.count);
    assert_string_equal(problems.items[i].file, path);
    assert_int_equal(problems.items[i].line, line);
    assert_int_equal(problems.items[i].column, column);
    if (!strstr(problems.items[i].text, part))
        fail_msg("\"%s\" has no \"%s\"", problems.items[i].text, part);
}

static void requests_are_read(void **state)
{
    (void)state;
    assert_int_equal(read_text("at_ms,service_ms\r\n0,10\n0.5,1.2345\n2592000000,86400000"), 0);
    assert_int_equal(trace.count, 3);
    assert_int_equal(trace.items[0].service_us, 10000);
    assert_int_equal(trace.items[1].at_us, 500);
    assert_int_equal(trace.items[1].service_us, 1234);
    assert_int_equal(trace.end_us, TRACE_AT_MAX_MS * MS);
}

static void every_fault_is_told_with_its_place(void **state)
{
    (void)state;
    assert_int_equal(read_text("at_ms,service_ms\n"
                               "5,10\n"
                               "x,10\n"
                               "6;10\n"
                               "7,\n"
                               "8,9,10\n"
                               "4,1\n"
                               "2592000001,1\n"
                               "9,-1\n"),
                     -EINVAL);
    assert_int_equal(trace.count, 0);
    assert_int_equal(problems.count, 7);
    assert_fault(0, 3, 1, "at_ms");
    assert_fault(1, 4, 2, "at_ms,service_ms");
    assert_fault(2, 5, 3, "service_ms");
    assert_fault(3, 6, 4, "nothing");
    assert_fault(4, 7, 1, "earlier");
    assert_fault(5, 8, 1, "at_ms");
    assert_fault(6, 9, 3, "service_ms");
}

static void the_header_is_needed(void **state)
{
    (void)state;
    assert_int_equal(read_text("0,10\n1,10\n"), -EINVAL);
    assert_int_equal(problems.count, 1);
    assert_fault(0, 1, 1, "at_ms,service_ms");
}

static void a_trace_has_requests(void **state)
{
    (void)state;
    assert_int_equal(read_text("at_ms,service_ms\n"), -EINVAL);
    assert_fault(0, 0, 1, "no request");
}

static void a_long_line_is_none(void **state)
{
    char text[300];
    (void)state;
    memset(text, '1', sizeof text);
    memcpy(text, "at_ms,service_ms\n", 17);
    text[sizeof text - 1] = '\0';
    assert_int_equal(read_text(text), -EINVAL);
    assert_fault(0, 2, 128, "too long");
}

static void a_file_that_cannot_be_read_is_named(void **state)
{
    (void)state;
    assert_int_equal(trace_read("/nonexistent/trace.csv", &trace, &problems), -ENOENT);
    assert_string_equal(problems.items[0].file, "/nonexistent/trace.csv");
    assert_string_equal(problems.items[0].text, "No such file or directory");
    problems_fini(&problems);
    assert_int_equal(trace_read("/", &trace, &problems), -EISDIR);
}

/* ---- order ---- */

static void sorting_keeps_the_order_of_those_that_come_together(void **state)
{
    (void)state;
    for (int64_t i = 0; i < 1001; i++)
        trace_add(&trace, (i * 7919) % 10, i);
    trace_sort(&trace);
    for (size_t i = 1; i < trace.count; i++) {
        const struct trace_request *a = &trace.items[i - 1], *b = &trace.items[i];
        assert_true(a->at_us < b->at_us || (a->at_us == b->at_us && a->service_us < b->service_us));
    }
}

/* ---- the ideal ---- */

/* Demand 0, 2 (at 0), 0 (at 1 s), 3 (at 1.5 s), 0 (at 2 s), 2 (at 20 s); it is remembered for a second. */
static void the_ideal_follows_the_windowed_maximum(void **state)
{
    struct settings settings;
    struct ideal ideal;
    (void)state;
    settings_init(&settings);
    settings.workers_min = 1;
    settings.workers_max = 10;
    settings.idle_timeout_ms = 1000;
    arrive(0, 1000), arrive(0, 1000);
    arrive(1500, 500), arrive(1500, 500), arrive(1500, 500);
    arrive(20000, 10), arrive(20000, 10);
    ideal_of(&trace, &settings, &ideal);
    assert_int_equal(ideal.peak, 3);
    assert_int_equal(ideal.spawns, 1 + 1 + 1 + 1); /* min, to 2, to 3, from 1 to 2 again */
    assert_true(ideal.mean > 0.1759 && ideal.mean < 0.1761);
    settings.workers_max = 2;
    ideal_of(&trace, &settings, &ideal);
    assert_int_equal(ideal.spawns, 1 + 1 + 1);
}

#define TEST(name) cmocka_unit_test_teardown(name, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(requests_are_read),
        TEST(every_fault_is_told_with_its_place),
        TEST(the_header_is_needed),
        TEST(a_trace_has_requests),
        TEST(a_long_line_is_none),
        TEST(a_file_that_cannot_be_read_is_named),
        TEST(sorting_keeps_the_order_of_those_that_come_together),
        TEST(the_ideal_follows_the_windowed_maximum),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
