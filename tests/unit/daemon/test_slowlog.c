/*
 * The slow log: its lines, and the stacks that eu-stack takes (the real one, and scripts in its place that
 * misbehave).
 */
#include "daemon/slowlog.h"

#include "daemon/stack.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#define FOUND_SIZE 400000

static struct ev_loop *loop;
static struct slowlog *slowlog;
static char directory[64], log_path[128], slow_path[128], former_path[4096];
static char found[FOUND_SIZE];

/* ---- scenery ---- */

static void path_of(const char *name, char ret_path[static 128])
{
    (void)snprintf(ret_path, 128, "%s/%s", directory, name);
}

static int setup(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/fcgipool-slowlog-XXXXXX");
    if (mkdtemp(directory) == NULL)
        return -1;
    path_of("log", log_path);
    path_of("slow", slow_path);
    (void)snprintf(former_path, sizeof former_path, "%s", getenv("PATH"));
    loop = ev_loop_new(EVFLAG_AUTO);
    log_configure("app", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    return log_open(log_path);
}

static int teardown(void **state)
{
    (void)state;
    char script[128];
    slowlog_free(slowlog);
    slowlog = NULL;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    log_close();
    ev_loop_destroy(loop);
    path_of("eu-stack", script);
    (void)unlink(script);
    (void)unlink(log_path);
    (void)unlink(slow_path);
    (void)setenv("PATH", former_path, 1);
    return rmdir(directory);
}

/* Puts a shell script in the place of eu-stack. */
static void fake(const char *body)
{
    char script[128];
    path_of("eu-stack", script);
    FILE *file = fopen(script, "we");
    assert_non_null(file);
    fprintf(file, "#!/bin/sh\nPATH=%s\n%s\n", former_path, body);
    fclose(file);
    assert_int_equal(chmod(script, 0755), 0);
    assert_int_equal(setenv("PATH", directory, 1), 0);
}

static void begin(const char *path, enum log_format format, bool stack)
{
    slowlog = slowlog_new(loop, "app", NULL);
    slowlog_configure(slowlog, format, stack);
    if (path != NULL)
        assert_int_equal(slowlog_open(slowlog, path), 0);
}

static const char *read_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t size = read(fd, found, sizeof found - 1);
    close(fd);
    assert_true(size >= 0);
    found[size] = '\0';
    return found;
}

static size_t count(const char *text, const char *words)
{
    size_t times = 0;
    while ((text = strstr(text, words)) != NULL) {
        times++;
        text++;
    }
    return times;
}

static void report(pid_t pid, const char *method, const char *uri)
{
    slowlog_report(
        slowlog, &(struct slow_request){.slot = 3, .pid = pid, .method = method, .uri = uri, .age_ms = 5012});
}

/* Runs the loop until nothing is waited for: it has no other watchers. */
static void run(void)
{
    ev_run(loop, 0);
}

/* No tail call, or the stack would not have it. */
static int wait_in_here(void)
{
    volatile int result = pause();
    return result;
}

/* A worker that sleeps in wait_in_here. */
static pid_t start_worker(void)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int (*volatile function)(void) = wait_in_here;
        if (write(ready[1], "", 1) == 1)
            for (;;)
                (void)function();
        _exit(1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void end_worker(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* ---- lines ---- */

static void a_request_is_one_line(void **state)
{
    (void)state;
    struct stat file;
    int length = 0;
    long year;
    begin(slow_path, LOG_FORMAT_TEXT, false);
    report(4711, "GET", "/slow?x=1");
    read_file(slow_path);
    assert_int_equal(
        sscanf(found, "%4ld-%*d-%*dT%*s app worker 3 pid 4711: GET /slow?x=1 5012 ms%n", &year, &length), 1);
    assert_string_equal(found + length, "\n");
    assert_int_equal(stat(slow_path, &file), 0);
    assert_int_equal(file.st_mode & 0137, 0);
}

static void a_line_stays_a_line(void **state)
{
    (void)state;
    begin(slow_path, LOG_FORMAT_TEXT, false);
    report(1, "G\tT", "/a\nb \x1b[1m\x7f\xff\xc3\xbc");
    report(1, "", "");
    read_file(slow_path);
    assert_non_null(strstr(found, ": G%09T /a%0Ab%20%1B[1m%7F%FF%C3%BC 5012 ms\n"));
    assert_non_null(strstr(found, ": - - 5012 ms\n"));
    assert_int_equal(count(found, "\n"), 2);
}

static void as_json_it_is_an_object_a_line(void **state)
{
    (void)state;
    begin(slow_path, LOG_FORMAT_JSON, false);
    report(4711, "GET", "/a\n\"b\"\xff");
    json_t *object = json_loads(read_file(slow_path), JSON_DISABLE_EOF_CHECK, NULL);
    assert_non_null(object);
    assert_int_equal(count(found, "\n"), 1);
    assert_string_equal(json_string_value(json_object_get(object, "pool")), "app");
    assert_int_equal(json_integer_value(json_object_get(object, "worker")), 3);
    assert_int_equal(json_integer_value(json_object_get(object, "pid")), 4711);
    assert_string_equal(json_string_value(json_object_get(object, "method")), "GET");
    assert_string_equal(json_string_value(json_object_get(object, "uri")), "/a\n\"b\"\xef\xbf\xbd");
    assert_int_equal(json_integer_value(json_object_get(object, "age_ms")), 5012);
    assert_non_null(json_object_get(object, "time"));
    assert_null(json_object_get(object, "stack"));
    json_decref(object);
}

static void without_a_file_it_goes_to_the_log(void **state)
{
    (void)state;
    begin(NULL, LOG_FORMAT_TEXT, false);
    assert_null(slowlog_path(slowlog));
    assert_int_equal(slowlog_reopen(slowlog), 0);
    report(4711, "GET", "/slow");
    assert_non_null(
        strstr(read_file(log_path), " warning slow request in worker 3 pid 4711: GET /slow, 5012 ms\n"));
}

static void the_longest_uri_fits(void **state)
{
    (void)state;
    static char uri[5001];
    memset(uri, 1, sizeof uri - 1);
    begin(slow_path, LOG_FORMAT_JSON, false);
    report(1, uri, uri);
    json_t *object = json_loads(read_file(slow_path), JSON_DISABLE_EOF_CHECK, NULL);
    assert_non_null(object);
    assert_true(json_string_length(json_object_get(object, "uri")) >= 200);
    json_decref(object);
}

static void a_renamed_file_is_left_and_made_anew(void **state)
{
    (void)state;
    char rotated[128];
    path_of("slow.1", rotated);
    begin(slow_path, LOG_FORMAT_TEXT, false);
    assert_string_equal(slowlog_path(slowlog), slow_path);
    report(1, "GET", "/first");
    assert_int_equal(rename(slow_path, rotated), 0);
    assert_int_equal(slowlog_reopen(slowlog), 0);
    report(1, "GET", "/second");
    read_file(slow_path);
    assert_null(strstr(found, "/first"));
    assert_non_null(strstr(found, "/second"));
    assert_non_null(strstr(read_file(rotated), "/first"));
    assert_int_equal(unlink(rotated), 0);
}

static void the_destination_can_change(void **state)
{
    (void)state;
    char other[128];
    path_of("other", other);
    begin(slow_path, LOG_FORMAT_TEXT, false);
    report(1, "GET", "/first");
    assert_int_equal(slowlog_open(slowlog, other), 0);
    report(1, "GET", "/second");
    assert_int_equal(slowlog_open(slowlog, directory), -EISDIR);
    report(1, "GET", "/third");
    assert_int_equal(slowlog_open(slowlog, NULL), 0);
    report(1, "GET", "/fourth");
    assert_int_equal(count(read_file(slow_path), "\n"), 1);
    assert_int_equal(count(read_file(other), "\n"), 2);
    assert_non_null(strstr(found, "/second"));
    assert_non_null(strstr(read_file(log_path), "/fourth"));
    assert_int_equal(unlink(other), 0);
}

static void a_file_that_cannot_be_opened_is_refused(void **state)
{
    (void)state;
    begin(NULL, LOG_FORMAT_TEXT, false);
    assert_int_equal(slowlog_open(slowlog, directory), -EISDIR);
    assert_null(slowlog_path(slowlog));
    report(1, "GET", "/to-the-log");
    assert_non_null(strstr(read_file(log_path), "/to-the-log"));
}

/* ---- stacks ---- */

static void the_stack_names_the_function(void **state)
{
    (void)state;
    pid_t worker = start_worker();
    begin(slow_path, LOG_FORMAT_TEXT, true);
    report(worker, "GET", "/slow");
    run();
    read_file(slow_path);
    if (strstr(read_file(log_path), "there is no eu-stack") != NULL || strstr(found, "ptrace") != NULL) {
        end_worker(worker);
        skip();
    }
    read_file(slow_path);
    assert_non_null(strstr(found, ": GET /slow 5012 ms\n    PID "));
    assert_non_null(strstr(found, " wait_in_here"));
    assert_int_equal(count(found, "\n    "), count(found, "\n") - 1);
    end_worker(worker);
}

static void in_json_the_stack_is_an_array(void **state)
{
    (void)state;
    fake("printf '#0 main\\n\\n#1 \"start\"\\n'");
    begin(slow_path, LOG_FORMAT_JSON, true);
    report(getpid(), "GET", "/slow");
    run();
    json_t *object = json_loads(read_file(slow_path), JSON_DISABLE_EOF_CHECK, NULL);
    json_t *stack = json_object_get(object, "stack");
    assert_int_equal(json_array_size(stack), 3);
    assert_string_equal(json_string_value(json_array_get(stack, 0)), "#0 main");
    assert_string_equal(json_string_value(json_array_get(stack, 1)), "");
    assert_string_equal(json_string_value(json_array_get(stack, 2)), "#1 \"start\"");
    json_decref(object);
}

static void in_the_log_the_stack_follows_the_line(void **state)
{
    (void)state;
    fake("echo '#0 main'");
    begin(NULL, LOG_FORMAT_TEXT, true);
    report(getpid(), "GET", "/slow");
    run();
    const char *line = strstr(read_file(log_path), "GET /slow, 5012 ms\n");
    assert_non_null(line);
    assert_non_null(strstr(line, " warning     #0 main\n"));
}

static void others_have_their_line_at_once(void **state)
{
    (void)state;
    fake("echo '#0 main'");
    begin(slow_path, LOG_FORMAT_TEXT, true);
    report(getpid(), "GET", "/first");
    report(getpid(), "GET", "/second");
    assert_non_null(strstr(read_file(slow_path), "/second 5012 ms\n"));
    assert_null(strstr(found, "/first"));
    run();
    assert_non_null(strstr(read_file(slow_path), "/first 5012 ms\n    #0 main\n"));
    report(getpid(), "GET", "/third");
    run();
    assert_non_null(strstr(read_file(slow_path), "/third 5012 ms\n    #0 main\n"));
}

static void who_must_not_be_stopped_has_no_stack(void **state)
{
    (void)state;
    fake("echo '#0 main'");
    begin(slow_path, LOG_FORMAT_TEXT, true);
    slowlog_report(slowlog, &(struct slow_request){
                                .pid = getpid(), .method = "GET", .uri = "/leaving", .no_stack = true});
    assert_non_null(strstr(read_file(slow_path), "/leaving 0 ms\n"));
    run();
    assert_null(strstr(read_file(slow_path), "main"));
}

static void a_reader_that_hangs_is_killed(void **state)
{
    (void)state;
    char ended[128];
    path_of("pid", ended);
    fake("echo $$ >${0%/*}/pid; echo '#0 main'; exec sleep 1000");
    begin(slow_path, LOG_FORMAT_TEXT, true);
    report(getpid(), "GET", "/slow");
    run();
    pid_t pid = (pid_t)strtol(read_file(ended), NULL, 10);
    int status;
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(unlink(ended), 0);
    assert_non_null(strstr(read_file(slow_path), "/slow 5012 ms\n    #0 main\n"));
    assert_non_null(strstr(read_file(log_path), "eu-stack took more than 2 s"));
}

/* A worker that a killed tracer left stopped runs again. */
static void a_worker_that_was_left_stopped_goes_on(void **state)
{
    (void)state;
    pid_t worker = start_worker();
    int status;
    fake("kill -STOP $2; exec sleep 1000");
    begin(slow_path, LOG_FORMAT_TEXT, true);
    report(worker, "GET", "/slow");
    assert_int_equal(waitpid(worker, &status, WUNTRACED), worker);
    assert_true(WIFSTOPPED(status));
    run();
    assert_int_equal(waitpid(worker, &status, WCONTINUED), worker);
    assert_true(WIFCONTINUED(status));
    end_worker(worker);
}

static void what_the_kernel_forbids_is_said_once(void **state)
{
    (void)state;
    fake("echo \"eu-stack: dwfl_linux_proc_attach pid $2: Operation not permitted\" >&2; exit 2");
    begin(slow_path, LOG_FORMAT_TEXT, true);
    for (int i = 0; i < 3; i++) {
        report(getpid(), "GET", "/slow");
        run();
    }
    assert_int_equal(count(read_file(slow_path), "/slow 5012 ms\n"), 3);
    assert_null(strstr(found, "eu-stack"));
    assert_int_equal(count(read_file(log_path), "the kernel does not let eu-stack look"), 1);
}

/* As root: the real eu-stack, as a user who may not look at us. */
static void another_users_worker_is_forbidden(void **state)
{
    (void)state;
    const struct credentials nobody = {.uid = 65534, .gid = 65534};
    if (geteuid() != 0)
        skip();
    slowlog = slowlog_new(loop, "app", &nobody);
    slowlog_configure(slowlog, LOG_FORMAT_TEXT, true);
    assert_int_equal(slowlog_open(slowlog, slow_path), 0);
    report(getpid(), "GET", "/slow");
    run();
    assert_non_null(strstr(read_file(slow_path), "/slow 5012 ms\n"));
    read_file(log_path);
    assert_true(strstr(found, "there is no eu-stack") != NULL ||
                strstr(found, "the kernel does not let eu-stack look") != NULL);
}

static void a_missing_reader_is_said_once(void **state)
{
    (void)state;
    assert_int_equal(setenv("PATH", directory, 1), 0);
    begin(slow_path, LOG_FORMAT_TEXT, true);
    slowlog_configure(slowlog, LOG_FORMAT_TEXT, true);
    report(getpid(), "GET", "/slow");
    report(getpid(), "GET", "/slow");
    assert_int_equal(count(read_file(slow_path), "/slow 5012 ms\n"), 2);
    assert_int_equal(count(read_file(log_path), "there is no eu-stack (of elfutils) in PATH"), 1);
}

static void one_that_cannot_be_run_is_said(void **state)
{
    (void)state;
    char script[128];
    fake("true");
    begin(slow_path, LOG_FORMAT_TEXT, true);
    path_of("eu-stack", script);
    assert_int_equal(unlink(script), 0);
    report(getpid(), "GET", "/slow");
    assert_non_null(strstr(read_file(slow_path), "/slow 5012 ms\n"));
    assert_non_null(strstr(read_file(log_path), "eu-stack"));
}

static void a_worker_that_has_gone_has_a_line_still(void **state)
{
    (void)state;
    pid_t worker = start_worker();
    end_worker(worker);
    fake("echo '#0 main'");
    begin(slow_path, LOG_FORMAT_TEXT, true);
    report(worker, "GET", "/gone");
    run();
    assert_int_equal(count(read_file(slow_path), "/gone 5012 ms\n"), 1);
}

static void a_stack_without_end_is_cut(void **state)
{
    (void)state;
    fake("yes '#0  0x00007f9548b57503 a_function' | head -c 200000");
    begin(slow_path, LOG_FORMAT_TEXT, true);
    report(getpid(), "GET", "/slow");
    run();
    size_t length = strlen(read_file(slow_path));
    size_t indents = 4 * count(found, "\n    ");
    assert_in_range(length - indents, STACK_TEXT_MAX, STACK_TEXT_MAX + 200);
}

static void in_json_it_is_cut_to_a_line(void **state)
{
    (void)state;
    fake("exec yes \"#0 $(printf '\\001\\002\\003\\004\\005\\006\\007\\010')\" | head -c 200000");
    begin(slow_path, LOG_FORMAT_JSON, true);
    report(getpid(), "GET", "/slow");
    run();
    json_t *object = json_loads(read_file(slow_path), JSON_DISABLE_EOF_CHECK, NULL);
    assert_non_null(object);
    assert_int_equal(count(found, "\n"), 1);
    assert_true(json_array_size(json_object_get(object, "stack")) > 500);
    json_decref(object);
}

static void one_long_line_is_cut(void **state)
{
    (void)state;
    fake("head -c 9000 /dev/zero | tr '\\0' x");
    begin(slow_path, LOG_FORMAT_TEXT, true);
    report(getpid(), "GET", "/slow");
    run();
    assert_in_range(strlen(strstr(read_file(slow_path), "\n    xxx")), 1000, 1100);
}

static void the_end_of_the_master_does_not_wait(void **state)
{
    (void)state;
    fake("exec sleep 1000");
    begin(slow_path, LOG_FORMAT_TEXT, true);
    report(getpid(), "GET", "/slow");
    slowlog_free(slowlog);
    slowlog = NULL;
    int status;
    bool killed = false;
    while (waitpid(-1, &status, 0) > 0) /* there may be one of a test before */
        killed = killed || WIFSIGNALED(status);
    assert_int_equal(errno, ECHILD);
    assert_true(killed);
    assert_non_null(strstr(read_file(slow_path), "/slow 5012 ms\n"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_is_one_line),
        TEST(a_line_stays_a_line),
        TEST(as_json_it_is_an_object_a_line),
        TEST(without_a_file_it_goes_to_the_log),
        TEST(the_longest_uri_fits),
        TEST(a_renamed_file_is_left_and_made_anew),
        TEST(the_destination_can_change),
        TEST(a_file_that_cannot_be_opened_is_refused),
        TEST(the_stack_names_the_function),
        TEST(in_json_the_stack_is_an_array),
        TEST(in_the_log_the_stack_follows_the_line),
        TEST(others_have_their_line_at_once),
        TEST(who_must_not_be_stopped_has_no_stack),
        TEST(a_reader_that_hangs_is_killed),
        TEST(a_worker_that_was_left_stopped_goes_on),
        TEST(what_the_kernel_forbids_is_said_once),
        TEST(another_users_worker_is_forbidden),
        TEST(a_missing_reader_is_said_once),
        TEST(one_that_cannot_be_run_is_said),
        TEST(a_worker_that_has_gone_has_a_line_still),
        TEST(a_stack_without_end_is_cut),
        TEST(in_json_it_is_cut_to_a_line),
        TEST(one_long_line_is_cut),
        TEST(the_end_of_the_master_does_not_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
