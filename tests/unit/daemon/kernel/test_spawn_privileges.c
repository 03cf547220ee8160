/*
 * What a child may do and whom it is: limits, priority, user, groups. As an ordinary user only what such a
 * one may ask for is tested.
 */
#include "daemon/kernel/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define OTHER 54321 /* a user and a group that nobody has */

extern char **environ;

static char directory[64];
static int output[2]; /* what the child says */

static int setup(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/fcgipool-privileges-XXXXXX");
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

static struct spawn_options shell_options(char *argv[4], const char *script)
{
    static char shell[] = "/bin/sh", flag[] = "-c";
    argv[0] = shell;
    argv[1] = flag;
    argv[2] = strdup(script);
    argv[3] = NULL;
    return (struct spawn_options){.path = shell,
                                  .argv = argv,
                                  .envp = environ,
                                  .umask = 022,
                                  .stdin_fd = STDIN_FILENO,
                                  .output_fd = output[1]};
}

static void read_output(char *ret_text, size_t size)
{
    size_t length = 0;
    ssize_t got;
    close(output[1]);
    output[1] = -1;
    while ((got = read(output[0], ret_text + length, size - 1 - length)) > 0)
        length += (size_t)got;
    assert_int_equal(got, 0);
    ret_text[length] = '\0';
}

/* The script's output, of a child with what `change` asks for. */
static void run(const struct spawn_options *change, const char *script, char *ret_text, size_t size)
{
    char *argv[4];
    const char *step = "";
    pid_t pid;
    int status = -1;
    struct spawn_options options = shell_options(argv, script);
    options.limits = change->limits;
    options.limit_count = change->limit_count;
    options.descriptors = change->descriptors;
    options.nice = change->nice;
    options.credentials = change->credentials;
    options.chdir = change->chdir;
    int error = spawn_process(&options, &pid, &step);
    if (error != 0)
        fail_msg("%s: %s", step, strerror(-error));
    read_output(ret_text, size);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    free(argv[2]);
}

static void assert_fails(const struct spawn_options *change, int error, const char *step)
{
    char *argv[4];
    const char *failed = "";
    pid_t pid = -1;
    struct spawn_options options = shell_options(argv, "exit 0");
    options.limits = change->limits;
    options.limit_count = change->limit_count;
    options.nice = change->nice;
    options.credentials = change->credentials;
    options.chdir = change->chdir;
    assert_int_equal(spawn_process(&options, &pid, &failed), error);
    assert_string_equal(failed, step);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    free(argv[2]);
}

static bool is_root(void)
{
    return geteuid() == 0 && credentials_capable(CAP_SETUID) && credentials_capable(CAP_SETGID);
}

/* As nobody in a child of ours; its exit code is 0 when `check` has returned. */
static void as_ordinary_user(void (*check)(void))
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        if (is_root() && (setresgid(OTHER, OTHER, OTHER) != 0 || setresuid(OTHER, OTHER, OTHER) != 0))
            _exit(2);
        check();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* --- limits and priority --- */

static void limits_are_set_soft_and_hard(void **state)
{
    (void)state;
    char text[256];
    const struct spawn_limit limits[] = {{RLIMIT_CORE, {4096, 8192}}, {RLIMIT_NOFILE, {50, 60}}};
    const struct rlimit descriptors = {100, 100};
    run(&(struct spawn_options){.limits = limits, .limit_count = 2, .descriptors = &descriptors},
        "ulimit -Sc; ulimit -Hc; ulimit -Sn; ulimit -Hn", text, sizeof text);
    assert_string_equal(text, "8\n16\n50\n60\n");

    struct rlimit ours;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &ours), 0);
    assert_true(ours.rlim_cur > 60);
}

static void priority_is_set(void **state)
{
    (void)state;
    char text[64];
    const int nice = 19;
    run(&(struct spawn_options){.nice = &nice}, "cut -d' ' -f19 /proc/$$/stat", text, sizeof text);
    assert_string_equal(text, "19\n");
    assert_true(getpriority(PRIO_PROCESS, 0) < 19);
}

static void ask_too_much(void)
{
    const struct rlimit none = {0, 0};
    const struct spawn_limit limit = {RLIMIT_CORE, {1, 1}};
    const int nice = -20;
    const struct credentials root = {.groups = &(gid_t){0}, .group_count = 1};
    assert_int_equal(setrlimit(RLIMIT_CORE, &none), 0);
    assert_int_equal(setrlimit(RLIMIT_NICE, &none), 0);
    assert_fails(&(struct spawn_options){.limits = &limit, .limit_count = 1}, -EPERM, "setrlimit");
    assert_fails(&(struct spawn_options){.nice = &nice}, -EACCES, "nice");
    assert_fails(&(struct spawn_options){.credentials = &root}, -EPERM, "setgroups");
}

static void what_is_not_allowed_is_told(void **state)
{
    (void)state;
    as_ordinary_user(ask_too_much);
}

/* --- user and groups --- */

static gid_t some_groups[] = {OTHER + 1, OTHER + 3, OTHER + 2};
static const struct credentials other = {
    .uid = OTHER, .gid = OTHER + 1, .groups = some_groups, .group_count = 3};

/* Of those that we have: `inheritable` to be passed on at exec. Returns what was so before. */
static uint32_t set_inheritable(uint32_t inheritable)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
    assert_int_equal(syscall(SYS_capget, &header, data), 0);
    uint32_t before = data[0].inheritable;
    data[0].inheritable = inheritable;
    assert_int_equal(syscall(SYS_capset, &header, data), 0);
    return before;
}

static void every_id_is_set_and_no_capability_left(void **state)
{
    (void)state;
    char text[1024];
    if (!is_root())
        skip();
    uint32_t before = set_inheritable(CAP_TO_MASK(CAP_SETUID) | CAP_TO_MASK(CAP_SETGID));
    run(&(struct spawn_options){.credentials = &other},
        "exec grep -E '^(Uid|Gid|Groups|CapInh|CapPrm|CapEff|CapAmb)' /proc/self/status", text, sizeof text);
    assert_string_equal(text, "Uid:\t54321\t54321\t54321\t54321\n"
                              "Gid:\t54322\t54322\t54322\t54322\n"
                              "Groups:\t54322 54323 54324 \n"
                              "CapInh:\t0000000000000000\n"
                              "CapPrm:\t0000000000000000\n"
                              "CapEff:\t0000000000000000\n"
                              "CapAmb:\t0000000000000000\n");
    (void)set_inheritable(before);
    /* We are who we were, and can still be looked at. */
    uid_t real, effective, saved;
    assert_int_equal(getresuid(&real, &effective, &saved), 0);
    assert_true(real == 0 && effective == 0 && saved == 0);
    assert_int_equal(prctl(PR_GET_DUMPABLE), 1);
}

/* A master that is no root, but has the capabilities to change its ids, ambient ones: the kernel takes them
 * only from a root that becomes somebody else. */
static void capabilities_of_an_ordinary_master_do_not_pass(void **state)
{
    (void)state;
    char text[512];
    int status = -1;
    if (!is_root())
        skip();
    pid_t pid = fork();
    if (pid == 0) {
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
        const uint32_t both = CAP_TO_MASK(CAP_SETUID) | CAP_TO_MASK(CAP_SETGID);
        data[0] = (struct __user_cap_data_struct){both, both, both};
        if (prctl(PR_SET_KEEPCAPS, 1) != 0 || setresgid(1, 1, 1) != 0 || setresuid(1, 1, 1) != 0 ||
            syscall(SYS_capset, &header, data) != 0 ||
            prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SETUID, 0, 0) != 0 ||
            prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SETGID, 0, 0) != 0)
            _exit(2);
        char *argv[4];
        const char *step;
        struct spawn_options options =
            shell_options(argv, "exec grep -E '^(Uid|CapInh|CapPrm|CapEff|CapAmb)' /proc/self/status");
        options.credentials = &other;
        if (spawn_process(&options, &pid, &step) != 0 || waitpid(pid, &status, 0) != pid)
            _exit(3);
        _exit(status == 0 ? 0 : 4);
    }
    read_output(text, sizeof text);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_string_equal(text, "Uid:\t54321\t54321\t54321\t54321\n"
                              "CapInh:\t0000000000000000\n"
                              "CapPrm:\t0000000000000000\n"
                              "CapEff:\t0000000000000000\n"
                              "CapAmb:\t0000000000000000\n");
}

/* Limits and priority come before the drop, the directory after it. */
static void order_of_the_steps(void **state)
{
    (void)state;
    char text[256];
    const int nice = -5;
    struct rlimit files;
    if (!is_root() || !credentials_capable(CAP_SYS_NICE))
        skip();
    assert_int_equal(chmod(directory, 0700), 0);
    assert_fails(&(struct spawn_options){.credentials = &other, .chdir = directory}, -EACCES, "chdir");
    assert_int_equal(prctl(PR_GET_DUMPABLE), 1);

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    /* A container's root may not raise limits; then the priority alone proves the order. */
    if (credentials_capable(CAP_SYS_RESOURCE))
        files.rlim_max++;
    const struct spawn_limit raised = {RLIMIT_NOFILE, {files.rlim_max, files.rlim_max}};
    const struct spawn_options change = {
        .credentials = &other, .nice = &nice, .limits = &raised, .limit_count = 1};
    char expected[64];
    (void)snprintf(expected, sizeof expected, "-5\n%ju\n", (uintmax_t)files.rlim_max);
    run(&change, "cut -d' ' -f19 /proc/$$/stat; ulimit -Hn", text, sizeof text);
    assert_string_equal(text, expected);
}

static void group_alone_leaves_the_user(void **state)
{
    (void)state;
    char text[256];
    gid_t group = OTHER;
    if (!is_root())
        skip();
    const struct credentials credentials = {.uid = 0, .gid = OTHER, .groups = &group, .group_count = 1};
    run(&(struct spawn_options){.credentials = &credentials},
        "exec grep -E '^(Uid|Gid|Groups)' /proc/self/status", text, sizeof text);
    assert_string_equal(text, "Uid:\t0\t0\t0\t0\nGid:\t54321\t54321\t54321\t54321\nGroups:\t54321 \n");
}

/* Somebody else could hold the child up before its exec: by a stop, or by a file system of theirs. Here by a
 * lease on the program, which an open waits for the end of. */
static void child_that_hangs_before_its_exec_is_given_up(void **state)
{
    (void)state;
    char program[128];
    char *argv[] = {program, NULL};
    pid_t pid = -1;
    const char *step = "";
    struct timespec began, ended;
    if (!is_root())
        skip();
    assert_int_equal(chmod(directory, 0755), 0);
    (void)snprintf(program, sizeof program, "%s/leased", directory);
    int fd = open(program, O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
    assert_true(fd >= 0);
    close(fd);
    fd = open(program, O_RDONLY | O_CLOEXEC);
    signal(SIGIO, SIG_IGN);
    if (fcntl(fd, F_SETLEASE, F_WRLCK) != 0) {
        unlink(program);
        skip();
    }
    struct spawn_options options = {.path = program,
                                    .argv = argv,
                                    .envp = environ,
                                    .credentials = &other,
                                    .stdin_fd = STDIN_FILENO,
                                    .output_fd = output[1]};
    clock_gettime(CLOCK_MONOTONIC, &began);
    assert_int_equal(spawn_process(&options, &pid, &step), -ETIMEDOUT);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    assert_string_equal(step, "no exec in time");
    assert_true(ended.tv_sec - began.tv_sec <= 20); /* leases are broken after 45 s */
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(pid, -1);
    close(fd);
    unlink(program);
    signal(SIGIO, SIG_DFL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(limits_are_set_soft_and_hard),
        TEST(priority_is_set),
        TEST(what_is_not_allowed_is_told),
        TEST(every_id_is_set_and_no_capability_left),
        TEST(order_of_the_steps),
        TEST(group_alone_leaves_the_user),
        TEST(capabilities_of_an_ordinary_master_do_not_pass),
        TEST(child_that_hangs_before_its_exec_is_given_up),
    };
    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
