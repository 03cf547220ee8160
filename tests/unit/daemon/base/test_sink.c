/* A destination of lines: whole lines in order, none torn, those lost counted. */
#include "daemon/base/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[64];
static struct sink sink;

static int setup(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/fcgipool-test-XXXXXX");
    sink = (struct sink){.fd = -1};
    return !mkdtemp(directory) || chdir(directory) < 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", directory);
    sink_close(&sink);
    return chdir("/") < 0 || system(command) != 0;
}

static void put(const char *text)
{
    sink_put(&sink, text, strlen(text));
}

static void line(const char *text)
{
    put(text);
    sink_flush(&sink);
}

static void assert_file(const char *path, const char *expected)
{
    static char text[1 << 20];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(text, expected);
}

static size_t size_of(const char *path)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return (size_t)status.st_size;
}

static void test_lines_go_out_together_and_are_appended(void **state)
{
    (void)state;
    struct stat status;
    mode_t before = umask(0);
    assert_int_equal(sink_open(&sink, "log"), 0);
    umask(before);
    put("one");
    put("");
    assert_file("log", "");
    line("three");
    assert_file("log", "one\n\nthree\n");
    assert_int_equal(stat("log", &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
    sink_close(&sink);
    assert_int_equal(sink_open(&sink, "log"), 0);
    put("four");
    sink_close(&sink);
    assert_file("log", "one\n\nthree\nfour\n");
    assert_int_equal(sink.dropped, 0);
}

static void test_more_lines_than_the_buffer_holds(void **state)
{
    (void)state;
    static char expected[1 << 20];
    size_t length = 0;
    assert_int_equal(sink_open(&sink, "log"), 0);
    for (int i = 0; i < 20000; i++) {
        char text[32];
        length += (size_t)snprintf(expected + length, sizeof expected - length, "line %d\n", i);
        snprintf(text, sizeof text, "line %d", i);
        put(text);
    }
    sink_flush(&sink);
    assert_file("log", expected);
    assert_int_equal(sink.dropped, 0);
}

static void test_longest_line(void **state)
{
    (void)state;
    static char text[SINK_LINE_MAX];
    memset(text, 'x', sizeof text - 1);
    assert_int_equal(sink_open(&sink, "log"), 0);
    put("before");
    put(text);
    line("after");
    assert_int_equal(size_of("log"), 7 + SINK_LINE_MAX + 6);
    assert_int_equal(sink.dropped, 0);
}

static void test_reopen_follows_a_rename(void **state)
{
    (void)state;
    assert_int_equal(sink_open(&sink, "log"), 0);
    line("one");
    assert_int_equal(rename("log", "log.1"), 0);
    line("two");
    put("waits");
    assert_int_equal(sink_reopen(&sink), 0);
    line("three");
    assert_file("log.1", "one\ntwo\nwaits\n");
    assert_file("log", "three\n");
}

static void test_failed_reopen_keeps_the_old_file(void **state)
{
    (void)state;
    assert_int_equal(sink_open(&sink, "log"), 0);
    assert_int_equal(rename("log", "log.1"), 0);
    assert_int_equal(mkdir("log", 0700), 0);
    assert_int_equal(sink_reopen(&sink), -EISDIR);
    line("still");
    assert_file("log.1", "still\n");
    assert_string_equal(sink.path, "log");
}

static void test_symbolic_links_are_refused(void **state)
{
    (void)state;
    assert_int_equal(symlink("elsewhere", "log"), 0);
    assert_int_equal(sink_open(&sink, "log"), -ELOOP);
    assert_int_equal(access("elsewhere", F_OK), -1);
}

/* A disk with room for `bytes`; 0: for all. */
static void limit_file_size(size_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes ? bytes : limit.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void test_full_disk_tears_no_line(void **state)
{
    (void)state;
    assert_int_equal(sink_open(&sink, "log"), 0);
    limit_file_size(10);
    put("first");
    put("second");
    put("third");
    line("fourth");
    assert_file("log", "first\nseco");
    assert_int_equal(sink.dropped, 2);
    assert_int_equal(sink.error, EFBIG);
    line("fifth");
    assert_int_equal(sink.dropped, 3);
    limit_file_size(0);
    line("sixth");
    assert_file("log", "first\nsecond\nsixth\n");
    assert_int_equal(sink.dropped, 3);
    assert_int_equal(sink.error, 0);
}

static void test_begun_line_and_reopen(void **state)
{
    (void)state;
    assert_int_equal(sink_open(&sink, "log"), 0);
    limit_file_size(3);
    line("first");
    assert_int_equal(sink_reopen(&sink), 0);
    assert_int_equal(sink.dropped, 0);
    limit_file_size(0);
    line("second");
    assert_file("log", "first\nsecond\n");

    limit_file_size(15);
    line("third");
    assert_int_equal(rename("log", "log.1"), 0);
    assert_int_equal(sink_reopen(&sink), 0);
    assert_int_equal(sink.dropped, 1);
    limit_file_size(0);
    line("fourth");
    assert_file("log.1", "first\nsecond\nth");
    assert_file("log", "fourth\n");
}

/* Reads all that is in a pipe or socket; returns how much. */
static size_t drain(int fd, char *ret_text, size_t size)
{
    size_t length = 0;
    ssize_t got;
    while ((got = read(fd, ret_text + length, size - 1 - length)) > 0)
        length += (size_t)got;
    ret_text[length] = '\0';
    return length;
}

/* Fills until lines are dropped, and checks that what came is lines 0 to N - 1; then that there is room
 * again. */
static void check_full(int reader)
{
    static char text[4 << 20];
    int put_count = 0, next = 0, got;
    for (; !sink.dropped && put_count < 100000; put_count++) {
        char number[128];
        snprintf(number, sizeof number, "%-99d", put_count);
        line(number);
    }
    assert_true(sink.dropped > 0);
    assert_int_equal(sink.error, EAGAIN);
    drain(reader, text, sizeof text);
    line("more");
    drain(reader, text + strlen(text), sizeof text - strlen(text));
    char *rest = text;
    for (; sscanf(rest, "%d", &got) == 1; rest += 100)
        assert_int_equal(got, next++);
    assert_string_equal(rest, "more\n");
    assert_int_equal((unsigned long)next + sink.dropped, put_count);
}

static void test_full_pipe(void **state)
{
    (void)state;
    assert_int_equal(mkfifo("fifo", 0600), 0);
    assert_int_equal(sink_open(&sink, "fifo"), -ENXIO); /* nobody reads: not waited for */
    int reader = open("fifo", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_int_equal(sink_open(&sink, "fifo"), 0);
    check_full(reader);
    close(reader);
}

/* What is written to a pipe at one time is whole lines, as others may write to it too. */
static void test_pipe_gets_whole_lines(void **state)
{
    (void)state;
    char text[300];
    static char got[1 << 17];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(mkfifo("fifo", 0600), 0);
    int reader = open("fifo", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_int_equal(sink_open(&sink, "fifo"), 0);
    assert_true(fcntl(reader, F_SETPIPE_SZ, 2 * PIPE_BUF) >= 0);
    for (int i = 0; i < 100; i++)
        put(text);
    sink_flush(&sink);
    size_t length = drain(reader, got, sizeof got);
    assert_true(length > PIPE_BUF && length < 100 * sizeof text);
    assert_int_equal(length % sizeof text, 0);
    assert_int_equal(sink.dropped, 100 - length / sizeof text);
    assert_false(sink.begun);
    close(reader);
}

/* Makes `fd` standard error for a while; returns what it was. */
static int be_stderr(int fd)
{
    int before = dup(STDERR_FILENO);
    assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    return before;
}

static void end_stderr(int before)
{
    dup2(before, STDERR_FILENO);
    close(before);
}

static void test_standard_error_is_a_socket(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    int before = be_stderr(ends[1]);
    assert_int_equal(sink_open(&sink, NULL), 0);
    check_full(ends[0]);
    close(ends[0]);
    sink.dropped = 0;
    line("nobody is there");
    assert_int_equal(sink.dropped, 1);
    end_stderr(before);
    close(ends[1]);
}

static void test_standard_error_is_a_pipe(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    int before = be_stderr(ends[1]);
    assert_int_equal(sink_open(&sink, NULL), 0);
    assert_int_equal(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0); /* whoever shares it is not disturbed */
    check_full(ends[0]);
    assert_int_equal(sink_reopen(&sink), 0);
    end_stderr(before);
    close(ends[0]);
    close(ends[1]);
}

/* As it is before anything was opened, and where it cannot be opened. */
static void test_standard_error_untouched(void **state)
{
    (void)state;
    int ends[2];
    static struct sink first = SINK_INIT;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    int before = be_stderr(ends[1]);
    sink = first;
    check_full(ends[0]);
    end_stderr(before);
    close(ends[0]);
    close(ends[1]);
}

/* Nothing may take longer than that; else the test dies of the signal. */
static void limit_time(time_t seconds)
{
    static timer_t timer;
    static bool made;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
    struct itimerspec limit = {.it_value.tv_sec = seconds};
    if (!made)
        assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    made = true;
    assert_int_equal(timer_settime(timer, 0, &limit, NULL), 0);
}

/* Somebody else's terminal is ready with room for one byte, takes a newline as two, and a write of more waits
 * for the one who reads. */
static void test_standard_error_is_a_terminal_that_nobody_reads(void **state)
{
    (void)state;
    static char text[4 << 20];
    static struct sink first = SINK_INIT;
    int put_count = 0, next = 0, got;
    struct itimerval timer, alarm_before = {.it_value.tv_sec = 1000};
    struct sigaction action;
    int ours = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    assert_true(ours >= 0 && grantpt(ours) == 0 && unlockpt(ours) == 0);
    int terminal = open(ptsname(ours), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(terminal >= 0);
    setitimer(ITIMER_REAL, &alarm_before, NULL);
    int before = be_stderr(terminal);
    sink = first;
    limit_time(60);
    for (; put_count < 5000; put_count++) {
        char number[128];
        snprintf(number, sizeof number, "%-98d", put_count); /* 100 with the terminal's "\r\n" */
        if (put_count % 100)
            put(number);
        else
            line(number);
    }
    limit_time(0);
    assert_true(sink.dropped > 0);
    assert_int_equal(sink.error, EAGAIN);
    assert_int_equal(fcntl(terminal, F_GETFL) & O_NONBLOCK, 0);
    size_t length = drain(ours, text, sizeof text);
    line("");
    sink.rest_until_ms = 0;
    sink_flush(&sink);
    drain(ours, text + length, sizeof text - length);
    end_stderr(before);
    char *rest = text;
    for (; sscanf(rest, "%d", &got) == 1; rest += 100) {
        assert_true(got >= next);
        assert_memory_equal(rest + 98, "\r\n", 2);
        next = got + 1;
    }
    assert_true(next > 0);
    assert_true(*rest == '\0' || strcmp(rest, "\r\n") == 0);
    /* Whoever has set an alarm keeps it. */
    setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_sec = 0}, &timer);
    assert_true(timer.it_value.tv_sec > 900);
    assert_int_equal(sigaction(SIGALRM, NULL, &action), 0);
    assert_true(action.sa_handler == SIG_DFL);
    close(ours);
    close(terminal);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        TEST(test_lines_go_out_together_and_are_appended),
        TEST(test_more_lines_than_the_buffer_holds),
        TEST(test_longest_line),
        TEST(test_reopen_follows_a_rename),
        TEST(test_failed_reopen_keeps_the_old_file),
        TEST(test_symbolic_links_are_refused),
        TEST(test_full_disk_tears_no_line),
        TEST(test_begun_line_and_reopen),
        TEST(test_full_pipe),
        TEST(test_pipe_gets_whole_lines),
        TEST(test_standard_error_is_a_socket),
        TEST(test_standard_error_is_a_pipe),
        TEST(test_standard_error_untouched),
        TEST(test_standard_error_is_a_terminal_that_nobody_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
