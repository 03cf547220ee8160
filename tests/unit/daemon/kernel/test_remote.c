/*
 * Shared memory in another process: found by its name, read and written there.
 */
#include "daemon/kernel/remote.h"
#include "daemon/kernel/shared_memory.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NAME "fcgipool-remote"
#define SIZE 16384

static char *memory;
static pid_t child;

/* The child has the mapping, we have none, and neither has a descriptor. */
static int setup(void **state)
{
    int fd, pipe_fds[2];
    void *mapped;
    (void)state;
    if (shared_memory_new(NAME, SIZE, &mapped, &fd) != 0 || close(fd) != 0 || pipe(pipe_fds) != 0)
        return -1;
    memory = mapped;
    strcpy(memory, "before");
    child = fork();
    if (child == 0) {
        char unused;
        (void)close(pipe_fds[1]);
        (void)!read(pipe_fds[0], &unused, 1);
        _exit(strcmp(memory, "after") == 0 ? 3 : 4);
    }
    (void)close(pipe_fds[0]);
    *state = (void *)(intptr_t)pipe_fds[1];
    return 0;
}

/* Returns how the child ended, once it was told to look. */
static int end_child(void **state)
{
    int status;
    (void)close((int)(intptr_t)*state);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_reads_and_writes(void **state)
{
    uint64_t address;
    char text[8] = "";
    assert_int_equal(remote_find(child, NAME, SIZE, &address), 0);
    assert_int_equal(munmap(memory, SIZE), 0);
    int fd = remote_open(child);
    assert_true(fd >= 0);
    assert_int_equal(remote_read(fd, address, text, sizeof text), 0);
    assert_string_equal(text, "before");
    assert_int_equal(remote_write(fd, address, "after", 6), 0);
    (void)close(fd);
    assert_int_equal(end_child(state), 3);
}

static void test_other_memory(void **state)
{
    uint64_t address = 0;
    char text[8];
    assert_int_equal(remote_find(child, "fcgipool-remot", SIZE, &address), -ENOENT);
    assert_int_equal(remote_find(child, NAME "e", SIZE, &address), -ENOENT);
    assert_int_equal(remote_find(child, NAME, SIZE / 2, &address), -ENOENT);
    assert_int_equal(address, 0);
    int fd = remote_open(child);
    assert_int_equal(remote_read(fd, 0, text, sizeof text), -EIO);
    (void)close(fd);
    (void)end_child(state);
}

static void test_ended_process(void **state)
{
    uint64_t address;
    char text[8];
    siginfo_t info;
    assert_int_equal(remote_find(child, NAME, SIZE, &address), 0);
    int fd = remote_open(child);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    assert_int_not_equal(remote_find(child, NAME, SIZE, &address), 0);
    assert_int_equal(remote_read(fd, address, text, sizeof text), -ESRCH);
    assert_int_equal(remote_write(fd, address, "after", 6), -ESRCH);
    (void)close(fd);
    (void)end_child(state);
    assert_int_equal(remote_find(child, NAME, SIZE, &address), -ESRCH);
    assert_int_equal(remote_open(child), -ESRCH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_reads_and_writes, setup),
        cmocka_unit_test_setup(test_other_memory, setup),
        cmocka_unit_test_setup(test_ended_process, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
