/*
 * What /proc tells about processes of ours: groups, states, system calls, sockets.
 */
#include "daemon/kernel/proc.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define DEADLINE_MS 10000

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Tries until `condition` holds; it fails the test after the deadline. */
#define WAIT_UNTIL(condition)                                                                                \
    do {                                                                                                     \
        int64_t deadline_ms = now_ms() + DEADLINE_MS;                                                        \
        while (!(condition)) {                                                                               \
            assert_true(now_ms() < deadline_ms);                                                             \
            poll(NULL, 0, 1);                                                                                \
        }                                                                                                    \
    } while (0)

static void *wait_for_ever(void *ignored)
{
    for (;;)
        pause();
    return ignored;
}

/* A child that does `work`, as leader of its own group or member of `group`, until it is killed. */
static pid_t start(void (*work)(void), pid_t group)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setpgid(0, group);
        work();
        _exit(0);
    }
    setpgid(pid, group);
    return pid;
}

static void end(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void work_idle(void)
{
    wait_for_ever(NULL);
}

static void work_threads(void)
{
    pthread_t thread;
    for (int i = 0; i < 3; i++)
        pthread_create(&thread, NULL, wait_for_ever, NULL);
    wait_for_ever(NULL);
}

static void work_without_main_thread(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, wait_for_ever, NULL);
    pthread_exit(NULL);
}

static void work_end(void)
{
}

static void work_spin(void)
{
    for (;;)
        __asm__ volatile("");
}

static bool state_is(pid_t pid, enum proc_state expected)
{
    enum proc_state state;
    return proc_state(pid, &state) == 0 && state == expected;
}

static int count_thread(pid_t pid, pid_t thread, void *context)
{
    int *count = context;
    assert_true(pid > 0 && thread >= pid);
    ++*count;
    return 0;
}

static int threads_of(pid_t pid)
{
    int count = 0;
    assert_int_equal(proc_each_thread(pid, count_thread, &count), 0);
    return count;
}

/* --- groups --- */

static void group_has_exactly_its_members(void **state)
{
    (void)state;
    struct proc_table table = PROC_TABLE_INIT;
    const struct proc_entry *members;
    pid_t leader = start(work_idle, 0), child = start(work_idle, leader), other = start(work_idle, 0);
    assert_int_equal(proc_table_read(&table), 0);
    assert_int_equal(proc_table_group(&table, leader, &members), 2);
    assert_true((members[0].pid == leader && members[1].pid == child) ||
                (members[0].pid == child && members[1].pid == leader));
    assert_int_equal(proc_table_group(&table, other, &members), 1);
    assert_int_equal(members[0].pid, other);
    assert_int_equal(proc_table_group(&table, child, &members), 0);
    assert_true(proc_table_group(&table, getpgrp(), &members) >= 1);

    end(child);
    assert_int_equal(proc_table_read(&table), 0);
    assert_int_equal(proc_table_group(&table, leader, &members), 1);
    end(leader);
    end(other);
    assert_int_equal(proc_table_read(&table), 0);
    assert_int_equal(proc_table_group(&table, leader, &members), 0);
    proc_table_fini(&table);
}

static void leader_that_ended_unreaped_is_a_member(void **state)
{
    (void)state;
    struct proc_table table = PROC_TABLE_INIT;
    const struct proc_entry *members;
    pid_t pid = start(work_end, 0);
    WAIT_UNTIL(proc_ended(pid));
    assert_int_equal(proc_table_read(&table), 0);
    assert_int_equal(proc_table_group(&table, pid, &members), 1);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    proc_table_fini(&table);
}

/* --- states --- */

static void stop_is_seen_when_every_thread_has_stopped(void **state)
{
    (void)state;
    pid_t pid = start(work_threads, 0);
    WAIT_UNTIL(threads_of(pid) == 4);
    assert_true(state_is(pid, PROC_RUNNING));
    assert_false(proc_ended(pid));
    kill(pid, SIGSTOP);
    WAIT_UNTIL(state_is(pid, PROC_STOPPED));
    assert_false(proc_ended(pid));
    kill(pid, SIGCONT);
    WAIT_UNTIL(state_is(pid, PROC_RUNNING));
    end(pid);
    assert_true(state_is(pid, PROC_ENDED));
    assert_true(proc_ended(pid));
    assert_int_equal(threads_of(pid), 0);
}

static void spinning_process_is_running_until_it_stops(void **state)
{
    (void)state;
    pid_t pid = start(work_spin, 0);
    assert_true(state_is(pid, PROC_RUNNING));
    kill(pid, SIGSTOP);
    WAIT_UNTIL(state_is(pid, PROC_STOPPED));
    end(pid);
}

static void process_lives_without_its_main_thread(void **state)
{
    (void)state;
    struct proc_call call = {0};
    pid_t pid = start(work_without_main_thread, 0);
    WAIT_UNTIL(threads_of(pid) == 2 && proc_thread_call(pid, pid, &call) == 0 && call.number == -1);
    assert_false(proc_ended(pid));
    assert_true(state_is(pid, PROC_RUNNING));
    kill(pid, SIGSTOP);
    WAIT_UNTIL(state_is(pid, PROC_STOPPED));
    end(pid);
}

/* A child has the name of its parent. */
static void name_of_the_program_does_not_mislead(void **state)
{
    (void)state;
    char name[16];
    assert_int_equal(prctl(PR_GET_NAME, name), 0);
    assert_int_equal(prctl(PR_SET_NAME, "x) Z (1 2"), 0);
    pid_t pid = start(work_idle, 0);
    assert_int_equal(prctl(PR_SET_NAME, name), 0);
    assert_false(proc_ended(pid));
    assert_true(state_is(pid, PROC_RUNNING));
    end(pid);
}

/* --- system calls --- */

static int pair[2];

static void work_read(void)
{
    char byte;
    (void)!read(pair[0], &byte, 1);
}

static void system_call_and_first_argument_are_told(void **state)
{
    (void)state;
    struct proc_call call;
    uint64_t inode = 0;
    struct stat identity;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    pid_t pid = start(work_read, 0);
    WAIT_UNTIL(proc_thread_call(pid, pid, &call) == 0 && call.number == SYS_read);
    assert_int_equal(call.first, pair[0]);
    assert_int_equal(proc_socket(pid, pid, call.first, &inode), 0);
    assert_int_equal(fstat(pair[0], &identity), 0);
    assert_int_equal(inode, identity.st_ino);
    assert_int_equal(proc_socket(pid, pid, 9999, &inode), -ESRCH);
    end(pid);
    assert_int_equal(proc_thread_call(pid, pid, &call), -ESRCH);
    assert_int_equal(proc_socket(pid, pid, 0, &inode), -ESRCH);
    close(pair[0]);
    close(pair[1]);
}

static void spinning_thread_is_in_no_call(void **state)
{
    (void)state;
    struct proc_call call = {.number = SYS_accept4};
    pid_t pid = start(work_spin, 0);
    WAIT_UNTIL(proc_thread_call(pid, pid, &call) == 0 && call.number == -1);
    end(pid);
}

/* --- sockets --- */

struct search {
    uint64_t inode;
    int others;
};

static int see_socket(pid_t pid, int fd, uint64_t inode, void *context)
{
    struct search *search = context;
    assert_true(pid > 0 && fd >= 0);
    if (inode == search->inode)
        return 7;
    search->others++;
    return 0;
}

static void check_sockets(void (*work)(void), int threads)
{
    struct stat identity;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(fstat(pair[1], &identity), 0);
    struct search search = {.inode = identity.st_ino}, none = {.inode = 1};
    pid_t pid = start(work, 0);
    WAIT_UNTIL(threads_of(pid) == threads);
    WAIT_UNTIL(proc_each_socket(pid, see_socket, &search) == 7);
    assert_true(search.others >= 1);
    assert_int_equal(proc_each_socket(pid, see_socket, &none), 0);
    assert_true(none.others >= 2);
    end(pid);
    assert_int_equal(proc_each_socket(pid, see_socket, &search), 0);
    close(pair[0]);
    close(pair[1]);
}

static void open_sockets_are_found(void **state)
{
    (void)state;
    check_sockets(work_idle, 1);
    check_sockets(work_threads, 4);
    check_sockets(work_without_main_thread, 2);
}

static void zombie_has_no_sockets(void **state)
{
    (void)state;
    struct search search = {.inode = 1};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    pid_t pid = start(work_end, 0);
    WAIT_UNTIL(proc_ended(pid));
    assert_int_equal(proc_each_socket(pid, see_socket, &search), 0);
    assert_int_equal(search.others, 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(pair[0]);
    close(pair[1]);
}

static void work_undumpable(void)
{
    prctl(PR_SET_DUMPABLE, 0);
    wait_for_ever(NULL);
}

/* As another user, or (not root) of a process that hides itself. */
static void what_we_may_not_read_is_told(void **state)
{
    (void)state;
    struct search search = {.inode = 1};
    int status = -1;
    pid_t pid = start(work_undumpable, 0);
    pid_t reader = fork();
    if (reader == 0) {
        struct proc_call call;
        bool wrong = geteuid() == 0 && setresuid(65534, 65534, 65534) != 0;
        while (!wrong && proc_thread_call(pid, pid, &call) != -EACCES)
            poll(NULL, 0, 1);
        wrong = wrong || proc_each_socket(pid, see_socket, &search) != -EACCES;
        wrong = wrong || !state_is(pid, PROC_RUNNING) || proc_ended(pid);
        _exit(wrong);
    }
    assert_int_equal(waitpid(reader, &status, 0), reader);
    assert_int_equal(status, 0);
    end(pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(group_has_exactly_its_members),
        cmocka_unit_test(leader_that_ended_unreaped_is_a_member),
        cmocka_unit_test(stop_is_seen_when_every_thread_has_stopped),
        cmocka_unit_test(spinning_process_is_running_until_it_stops),
        cmocka_unit_test(process_lives_without_its_main_thread),
        cmocka_unit_test(name_of_the_program_does_not_mislead),
        cmocka_unit_test(system_call_and_first_argument_are_told),
        cmocka_unit_test(spinning_thread_is_in_no_call),
        cmocka_unit_test(open_sockets_are_found),
        cmocka_unit_test(zombie_has_no_sockets),
        cmocka_unit_test(what_we_may_not_read_is_told),
    };
    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
