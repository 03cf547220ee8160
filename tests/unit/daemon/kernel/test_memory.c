/* Memory of process groups: children of ours that hold a known amount. */
#include "daemon/kernel/memory.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB        (UINT64_C(1) << 20)
#define HELD_BYTES (64 * MIB)

static struct proc_table table = PROC_TABLE_INIT;

static int teardown(void **state)
{
    (void)state;
    proc_table_fini(&table);
    return 0;
}

/* A child in process group `group` (0: its own) that has written to `memory` (shared), or to memory of its
 * own when that is NULL, and then told us. */
static pid_t start(pid_t group, char *memory)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setpgid(0, group);
        if (memory == NULL)
            memory = mmap(NULL, HELD_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(memory, 1, HELD_BYTES);
        if (write(ready[1], "", 1) == 1)
            for (;;)
                pause();
        _exit(1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void both(pid_t group, uint64_t *ret_resident, uint64_t *ret_proportional)
{
    assert_int_equal(proc_table_read(&table), 0);
    assert_int_equal(memory_resident(&table, group, ret_resident), 0);
    assert_int_equal(memory_proportional(&table, group, ret_proportional), 0);
}

static void what_a_process_holds_is_counted(void **state)
{
    (void)state;
    uint64_t resident, proportional;
    pid_t pid = start(0, NULL);
    both(pid, &resident, &proportional);
    assert_in_range(resident, HELD_BYTES, 2 * HELD_BYTES);
    assert_in_range(proportional, HELD_BYTES, resident);
    end(pid);
}

static void a_child_counts_with_its_group(void **state)
{
    (void)state;
    uint64_t resident, proportional;
    pid_t pid = start(0, NULL), child = start(pid, NULL);
    both(pid, &resident, &proportional);
    assert_in_range(resident, 2 * HELD_BYTES, 3 * HELD_BYTES);
    assert_in_range(proportional, 2 * HELD_BYTES, resident);
    end(child);
    end(pid);
}

static void shared_pages_count_once_in_the_proportional_sum(void **state)
{
    (void)state;
    uint64_t resident, proportional;
    char *shared = mmap(NULL, HELD_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(shared, MAP_FAILED);
    pid_t pid = start(0, shared), child = start(pid, shared);
    both(pid, &resident, &proportional);
    assert_in_range(resident, 2 * HELD_BYTES, 3 * HELD_BYTES);
    assert_in_range(proportional, HELD_BYTES, HELD_BYTES + HELD_BYTES / 2);
    end(child);
    end(pid);
    munmap(shared, HELD_BYTES);
}

static void a_group_that_is_gone_has_none(void **state)
{
    (void)state;
    uint64_t bytes = 7;
    pid_t pid = start(0, NULL);
    assert_int_equal(proc_table_read(&table), 0);
    end(pid);
    assert_int_equal(memory_resident(&table, pid, &bytes), -ESRCH);
    assert_int_equal(memory_proportional(&table, pid, &bytes), -ESRCH);
    assert_int_equal(proc_table_read(&table), 0);
    assert_int_equal(memory_resident(&table, pid, &bytes), -ESRCH);
    assert_int_equal(bytes, 7);
}

static void a_zombie_holds_nothing(void **state)
{
    (void)state;
    siginfo_t death;
    uint64_t bytes = 0;
    pid_t pid = start(0, NULL);
    kill(pid, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)pid, &death, WEXITED | WNOWAIT), 0);
    assert_int_equal(proc_table_read(&table), 0);
    assert_int_equal(memory_resident(&table, pid, &bytes), 0);
    assert_int_equal(bytes, 0);
    assert_int_equal(memory_proportional(&table, pid, &bytes), -ESRCH);
    end(pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_process_holds_is_counted),
        cmocka_unit_test(a_child_counts_with_its_group),
        cmocka_unit_test(shared_pages_count_once_in_the_proportional_sum),
        cmocka_unit_test(a_group_that_is_gone_has_none),
        cmocka_unit_test(a_zombie_holds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
