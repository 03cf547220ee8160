/*
 * Starting a process: what the child is promised, and what is told when it cannot start.
 */
#include "daemon/kernel/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define DEADLINE_MS 10000

extern char **environ;

static char directory[64];
static int output[2]; /* what the child says */

static int setup(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/fcgipool-spawn-XXXXXX");
    if (mkdtemp(directory) == NULL)
        return -1;
    return pipe2(output, O_CLOEXEC);
}

static int teardown(void **state)
{
    (void)state;
    close(output[0]);
    if (output[1] >= 0)
        close(output[1]);
    return rmdir(directory);
}

static struct spawn_options options_for(char *const *argv)
{
    return (struct spawn_options){.path = argv[0],
                                  .argv = argv,
                                  .envp = environ,
                                  .umask = 022,
                                  .stdin_fd = STDIN_FILENO,
                                  .output_fd = output[1]};
}

/* All that the child writes until it ends. */
static void read_output(char *ret_text, size_t size)
{
    size_t length = 0;
    ssize_t got;
    close(output[1]);
    output[1] = -1;
    do {
        struct pollfd wait = {.fd = output[0], .events = POLLIN};
        assert_int_equal(poll(&wait, 1, DEADLINE_MS), 1);
        got = read(output[0], ret_text + length, size - 1 - length);
        assert_true(got >= 0);
        length += (size_t)got;
    } while (got > 0);
    ret_text[length] = '\0';
}

static int status_of(pid_t pid)
{
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static pid_t start(const struct spawn_options *options)
{
    pid_t pid = -1;
    const char *step = "";
    int error = spawn_process(options, &pid, &step);
    if (error != 0)
        fail_msg("%s: %s", step, strerror(-error));
    return pid;
}

/* Runs a shell script; its output is in `ret_text`. */
static pid_t run_script(const char *script, struct spawn_options *options, char *ret_text, size_t size)
{
    char *argv[] = {strdup("/bin/sh"), strdup("-c"), strdup(script), NULL};
    options->path = argv[0];
    options->argv = argv;
    pid_t pid = start(options);
    read_output(ret_text, size);
    assert_int_equal(status_of(pid), 0);
    for (size_t i = 0; i < 3; i++)
        free(argv[i]);
    return pid;
}

static void assert_fails(const struct spawn_options *options, int error, const char *step)
{
    pid_t pid = -1;
    const char *failed = "";
    assert_int_equal(spawn_process(options, &pid, &failed), error);
    assert_string_equal(failed, step);
    assert_int_equal(pid, -1);
    /* Nobody is left to be reaped. */
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

/* Group, session and terminal. */
static bool child_is_in(struct spawn_options *options, pid_t session)
{
    char text[256], expected[64];
    pid_t pid = run_script("cut -d' ' -f5-7 /proc/$$/stat", options, text, sizeof text);
    (void)snprintf(expected, sizeof expected, "%d %d 0\n", pid, session ? session : pid);
    return strcmp(text, expected) == 0;
}

static void child_leads_its_own_session(void **state)
{
    (void)state;
    struct spawn_options options = options_for((char *[]){NULL});
    options.same_session = getsid(0) != getpid(); /* others may be in it */
    assert_true(child_is_in(&options, 0));
}

static void child_may_stay_in_a_session_that_we_lead(void **state)
{
    (void)state;
    struct spawn_options options = options_for((char *[]){NULL});
    options.same_session = true;
    pid_t leader = fork();
    if (leader == 0)
        _exit(setsid() < 0 || !child_is_in(&options, getpid()));
    close(output[1]);
    output[1] = -1;
    assert_int_equal(status_of(leader), 0);
}

/* Masks as /proc/PID/status has them. Whatever we block, ignore or catch does not reach the child. */
static void child_has_default_signals(void **state)
{
    (void)state;
    char text[512];
    sigset_t blocked, before, after;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGRTMAX);
    assert_int_equal(sigprocmask(SIG_BLOCK, &blocked, &before), 0);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGRTMAX, SIG_IGN);
    struct spawn_options options = options_for((char *[]){NULL});
    run_script("exec grep -E '^Sig(Blk|Ign)' /proc/self/status", &options, text, sizeof text);
    assert_string_equal(text, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");

    /* Ours are as before. */
    assert_int_equal(sigprocmask(SIG_SETMASK, &before, &after), 0);
    assert_true(sigismember(&after, SIGTERM));
    assert_false(sigismember(&after, SIGINT));
    assert_ptr_equal(signal(SIGPIPE, SIG_DFL), SIG_IGN);
    signal(SIGHUP, SIG_DFL);
    signal(SIGRTMAX, SIG_DFL);
}

static void child_has_no_descriptors_but_three(void **state)
{
    (void)state;
    char text[1024];
    int extra = dup(output[0]), far = fcntl(output[0], F_DUPFD, 200), input = open("/dev/null", O_RDONLY);
    struct spawn_options options = options_for((char *[]){NULL});
    options.stdin_fd = input;
    run_script("readlink $(seq -f /proc/$$/fd/%g 0 255); true", &options, text, sizeof text);
    struct stat pipe;
    assert_int_equal(fstat(output[0], &pipe), 0);
    char expected[256];
    (void)snprintf(expected, sizeof expected, "/dev/null\npipe:[%ju]\npipe:[%ju]\n", (uintmax_t)pipe.st_ino,
                   (uintmax_t)pipe.st_ino);
    assert_string_equal(text, expected);
    close(extra);
    close(far);
    close(input);
}

/* In a child of ours, whose own 0, 1 and 2 are the very ones to be dealt out, crosswise. */
static void descriptors_may_overlap(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        char text[] = "/bin/sh";
        char *argv[] = {text, (char[]){"-c"}, (char[]){"cat; echo err >&2"}, NULL};
        int input[2];
        const char *step;
        pid_t child;
        if (pipe2(input, O_CLOEXEC) != 0 || write(input[1], "in\n", 3) != 3)
            _exit(2);
        close(input[1]);
        dup2(output[1], STDIN_FILENO);
        dup2(input[0], STDOUT_FILENO);
        close(STDERR_FILENO);
        struct spawn_options options = options_for(argv);
        options.stdin_fd = STDOUT_FILENO;
        options.output_fd = STDIN_FILENO;
        int status = -1;
        if (spawn_process(&options, &child, &step) != 0 || waitpid(child, &status, 0) != child)
            _exit(3);
        _exit(status == 0 ? 0 : 4);
    }
    char said[64];
    read_output(said, sizeof said);
    assert_int_equal(status_of(pid), 0);
    assert_string_equal(said, "in\nerr\n");
}

static void child_inherits_our_output(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        char *argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, (char[]){"echo out; echo err >&2"}, NULL};
        struct spawn_options options = options_for(argv);
        const char *step;
        pid_t child;
        int status = -1, errors[2];
        char text[8] = "";
        if (pipe2(errors, O_CLOEXEC) != 0)
            _exit(2);
        dup2(output[1], STDOUT_FILENO);
        dup2(errors[1], STDERR_FILENO);
        options.inherit_output = true;
        options.output_fd = -1;
        if (spawn_process(&options, &child, &step) != 0 || waitpid(child, &status, 0) != child)
            _exit(3);
        _exit(read(errors[0], text, sizeof text) == 4 && memcmp(text, "err\n", 4) == 0 ? status : 4);
    }
    char said[64];
    read_output(said, sizeof said);
    assert_int_equal(status_of(pid), 0);
    assert_string_equal(said, "out\n");
}

static void child_has_umask_directory_and_environment(void **state)
{
    (void)state;
    char text[256], expected[256];
    char variable[] = "WHO=pool";
    struct spawn_options options = options_for((char *[]){NULL});
    options.umask = 027;
    options.chdir = directory;
    options.envp = (char *[]){variable, NULL};
    run_script("umask; pwd; echo $WHO-$HOME-", &options, text, sizeof text);
    (void)snprintf(expected, sizeof expected, "0027\n%s\npool--\n", directory);
    assert_string_equal(text, expected);
    mode_t mask = umask(0);
    umask(mask);
    assert_int_not_equal(mask, 027);
}

static void missing_program_is_told(void **state)
{
    (void)state;
    char path[96];
    (void)snprintf(path, sizeof path, "%s/none", directory);
    char *argv[] = {path, NULL};
    struct spawn_options options = options_for(argv);
    assert_fails(&options, -ENOENT, "exec");
}

static void file_that_cannot_be_executed_is_told(void **state)
{
    (void)state;
    char path[96];
    (void)snprintf(path, sizeof path, "%s/plain", directory);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    assert_int_equal(write(fd, "x", 1), 1);
    char *argv[] = {path, NULL};
    struct spawn_options options = options_for(argv);
    assert_fails(&options, -EACCES, "exec");
    assert_int_equal(fchmod(fd, 0755), 0);
    close(fd);
    assert_fails(&options, -ENOEXEC, "exec");
    assert_int_equal(unlink(path), 0);
}

static void missing_directory_is_told(void **state)
{
    (void)state;
    char gone[96];
    (void)snprintf(gone, sizeof gone, "%s/gone", directory);
    char *argv[] = {(char[]){"/bin/true"}, NULL};
    struct spawn_options options = options_for(argv);
    options.chdir = gone;
    assert_fails(&options, -ENOENT, "chdir");
}

static void bad_descriptors_are_told(void **state)
{
    (void)state;
    char *argv[] = {(char[]){"/bin/true"}, NULL};
    struct spawn_options options = options_for(argv);
    options.stdin_fd = 9999;
    assert_fails(&options, -EBADF, "stdin");
    options.stdin_fd = STDIN_FILENO;
    options.output_fd = -1;
    assert_fails(&options, -EBADF, "output");
}

static void lack_of_descriptors_is_told(void **state)
{
    (void)state;
    struct rlimit before, few;
    char *argv[] = {(char[]){"/bin/true"}, NULL};
    struct spawn_options options = options_for(argv);
    int next = dup(STDIN_FILENO);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    /* Room for one end of the pipe only. */
    few = before;
    few.rlim_cur = (rlim_t)next + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    assert_fails(&options, -EMFILE, "pipe");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    int same = dup(STDIN_FILENO);
    assert_int_equal(same, next);
    close(same);
}

static void caught(int number)
{
    (void)number;
}

/* Signals that arrive meanwhile are ours to handle and disturb nothing; nothing leaks. */
static void many_starts_under_signals_leak_nothing(void **state)
{
    (void)state;
    struct sigaction action = {.sa_handler = caught};
    struct timespec interval = {.tv_nsec = 200000};
    struct itimerspec every = {.it_interval = interval, .it_value = interval};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    timer_t timer;
    char *argv[] = {(char[]){"/bin/true"}, NULL};
    struct spawn_options options = options_for(argv);
    int next = dup(STDIN_FILENO);
    close(next);
    assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
    assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    assert_int_equal(timer_settime(timer, 0, &every, NULL), 0);
    for (int i = 0; i < 100; i++) {
        pid_t pid = start(&options);
        int status = -1;
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
        assert_int_equal(status, 0);
    }
    timer_delete(timer);
    signal(SIGUSR1, SIG_DFL);
    int same = dup(STDIN_FILENO);
    assert_int_equal(same, next);
    close(same);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(child_leads_its_own_session),
        TEST(child_may_stay_in_a_session_that_we_lead),
        TEST(child_has_default_signals),
        TEST(child_has_no_descriptors_but_three),
        TEST(descriptors_may_overlap),
        TEST(child_inherits_our_output),
        TEST(child_has_umask_directory_and_environment),
        TEST(missing_program_is_told),
        TEST(file_that_cannot_be_executed_is_told),
        TEST(missing_directory_is_told),
        TEST(bad_descriptors_are_told),
        TEST(lack_of_descriptors_is_told),
        TEST(many_starts_under_signals_leak_nothing),
    };
    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
