/*
 * Stop, inspect, kill: an idle worker goes, one with a request in hand does not, and no client loses
 * anything.
 */

#include "retire_world.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>

/* --- retiring --- */

static void check_idle(void (*work)(void))
{
    struct retirement r = {.group = start_ready(work)};
    assert_true(retire_one(&r, DEADLINE_MS));
    assert_int_equal(r.phase, RETIREMENT_DONE);
    assert_int_equal(retire_tick(&(struct retirement *){&r}, 1, &pool, now_ms()), -1);
    assert_killed(r.group);
}

static void idle_worker_is_killed(void **state)
{
    (void)state;
    check_idle(work_serial);
    check_idle(work_threads);
    check_idle(work_without_main_thread);
    check_idle(work_by_children);
    check_idle(work_in_a_child);
    check_idle(work_poll);
    check_idle(work_with_a_database);
}

static void check_busy(void (*work)(void))
{
    struct retirement r = {.group = start_ready(work)};
    int client = begin_request();
    assert_false(retire_one(&r, 150));
    assert_true(finish_request(client));
    assert_true(retire_one(&r, DEADLINE_MS));
    assert_killed(r.group);
}

static void busy_worker_is_left_until_it_has_answered(void **state)
{
    (void)state;
    check_busy(work_serial);
    check_busy(work_threads);
    check_busy(work_without_main_thread);
    check_busy(work_by_children);
    check_busy(work_in_a_child);
    check_busy(work_poll);
    check_busy(work_with_a_database);
}

/* As retire_tick leaves a worker that has not stopped yet; this one has. */
static void halt_by_hand(struct retirement *r, int64_t at_ms)
{
    r->phase = RETIREMENT_HALT;
    r->halted_at_ms = at_ms;
    kill(-r->group, SIGSTOP);
    WAIT_UNTIL(stopped(r->group));
}

/* The connection comes between the look and the stop; the worker must run on. */
static void request_taken_just_before_the_stop_is_served(void **state)
{
    (void)state;
    struct retirement r = {.group = start_ready(work_serial)}, *all = &r;
    int client = begin_request();
    halt_by_hand(&r, 1000);
    assert_int_equal(retire_tick(&all, 1, &pool, 1001), 1);
    assert_int_equal(r.phase, RETIREMENT_LOOK);
    assert_true(finish_request(client));
    end(r.group);
}

static void what_is_queued_survives_a_kill(void **state)
{
    (void)state;
    struct retirement r = {.group = start_ready(work_serial)};
    halt_by_hand(&r, now_ms());
    int client = connect_to_pool();
    assert_true(retire_one(&r, DEADLINE_MS));
    assert_killed(r.group);
    pid_t next = start(work_serial);
    assert_true(finish_request(client));
    end(next);
}

static void busy_worker_is_looked_at_less_and_less_often(void **state)
{
    (void)state;
    struct retirement r = {.group = start_ready(work_serial)}, *all = &r;
    int client = begin_request();
    assert_int_equal(retire_tick(&all, 1, &pool, 1000), 1);
    assert_int_equal(retire_tick(&all, 1, &pool, 1001), 2);
    assert_int_equal(retire_tick(&all, 1, &pool, 1003), 5);
    assert_int_equal(retire_tick(&all, 1, &pool, 1008), 10);
    assert_int_equal(retire_tick(&all, 1, &pool, 1018), 10);
    assert_int_equal(retire_tick(&all, 1, &pool, 1019), 9);
    assert_true(finish_request(client));
    end(r.group);
}

static void several_are_retired_together(void **state)
{
    (void)state;
    struct retirement r[6], *all[6];
    for (size_t i = 0; i < 6; i++) {
        r[i] = (struct retirement){.group = start_ready(i % 2 == 0 ? work_serial : work_threads)};
        all[i] = &r[i];
    }
    int client = begin_request();
    assert_false(retire_within(all, 6, 200));
    int left = 0;
    for (size_t i = 0; i < 6; i++)
        left += r[i].phase != RETIREMENT_DONE;
    assert_int_equal(left, 1);
    assert_true(finish_request(client));
    assert_true(retire_within(all, 6, DEADLINE_MS));
    for (size_t i = 0; i < 6; i++)
        assert_killed(r[i].group);
}

static void group_without_its_leader_is_killed(void **state)
{
    (void)state;
    struct proc_table table = PROC_TABLE_INIT;
    const struct proc_entry *members;
    struct retirement r = {.group = start_ready(work_in_a_child)};
    kill(r.group, SIGKILL);
    WAIT_UNTIL(proc_ended(r.group));
    assert_true(retire_one(&r, DEADLINE_MS));
    while (waitpid(-r.group, NULL, 0) > 0)
        ;
    assert_int_equal(proc_table_read(&table), 0);
    assert_int_equal(proc_table_group(&table, r.group, &members), 0);
    proc_table_fini(&table);
}

static void group_that_does_not_stop_runs_on(void **state)
{
    (void)state;
    struct retirement r = {.group = start(work_unstoppable), .free_since_ms = 1}, *all = &r;
    pid_t child = 0;
    WAIT_UNTIL((child = child_of(r.group)) != 0);
    assert_int_equal(retire_tick(&all, 1, &pool, 2000), 1);
    assert_int_equal(r.phase, RETIREMENT_HALT);
    WAIT_UNTIL(stopped(child));
    assert_int_equal(retire_tick(&all, 1, &pool, 2049), 1);
    assert_int_equal(r.phase, RETIREMENT_HALT);
    assert_int_equal(retire_tick(&all, 1, &pool, 2050), 1);
    assert_int_equal(r.phase, RETIREMENT_LOOK);
    WAIT_UNTIL(runs(child));
    end(r.group);
}

static void cancelled_worker_serves_on(void **state)
{
    (void)state;
    struct retirement r = {.group = start_ready(work_serial)};
    retire_cancel(&r);
    halt_by_hand(&r, 1000);
    retire_cancel(&r);
    assert_int_equal(r.phase, RETIREMENT_LOOK);
    assert_true(finish_request(connect_to_pool()));
    end(r.group);
}

/* Without descriptors of our own we are blind: nobody may be killed or stay stopped. */
static void blindness_kills_nobody(void **state)
{
    (void)state;
    struct rlimit before, none;
    struct retirement r = {.group = start_ready(work_serial)}, *all = &r;
    halt_by_hand(&r, 1000);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    for (int64_t at_ms = 1001; at_ms < 1300; at_ms++)
        (void)retire_tick(&all, 1, &pool, at_ms);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(r.phase, RETIREMENT_LOOK);
    assert_true(finish_request(connect_to_pool()));
    assert_true(retire_one(&(struct retirement){.group = r.group}, DEADLINE_MS));
    assert_killed(r.group);
}

/* --- readiness --- */

static void only_who_waits_for_connections_is_accepting(void **state)
{
    (void)state;
    bool unreadable = true;
    pid_t never = start(work_never), elsewhere = start(work_elsewhere);
    struct proc_call call;
    WAIT_UNTIL(proc_thread_call(elsewhere, elsewhere, &call) == 0 && (int)call.first == database.fd);
    assert_false(serves(never, &pool, &unreadable));
    assert_false(unreadable);
    assert_false(serves(elsewhere, &pool, &unreadable));
    assert_true(serves(elsewhere, &database, &unreadable));
    end(never);
    end(elsewhere);
}

static void worker_with_a_request_is_accepting(void **state)
{
    (void)state;
    pid_t pid = start_ready(work_serial);
    int client = begin_request();
    assert_true(accepting(pid));
    assert_true(finish_request(client));
    end(pid);
    assert_false(accepting(pid));
}

static void unreadable_worker_is_told_and_spared(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    pid_t pid = start_ready(work_serial), reader = fork();
    int status = -1;
    if (reader == 0) {
        bool unreadable = false, wrong = setresuid(65534, 65534, 65534) != 0;
        struct retirement r = {.group = pid};
        wrong = wrong || serves(pid, &pool, &unreadable) || !unreadable || retire_one(&r, 50);
        _exit(wrong || r.phase != RETIREMENT_LOOK);
    }
    assert_int_equal(waitpid(reader, &status, 0), reader);
    assert_int_equal(status, 0);
    assert_true(finish_request(connect_to_pool()));
    end(pid);
}

/* --- under load --- */

struct count {
    atomic_bool stop;
    atomic_int served, lost;
};

/* Requests back to back; a slow client sends its request some time after it was accepted. */
static void load(struct count *count, bool slow)
{
    while (!atomic_load(&count->stop)) {
        int client = connect_to_pool();
        if (slow)
            poll(NULL, 0, 2);
        bool served = client >= 0 && finish_request(client);
        atomic_fetch_add(served ? &count->served : &count->lost, 1);
    }
    _exit(0);
}

static void hot_pool_loses_no_request(void **state)
{
    (void)state;
    enum { WORKERS = 4, CLIENTS = 3, ROUNDS = 25, TOGETHER = 2 };
    struct count *count =
        mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(count != MAP_FAILED);
    pid_t workers[WORKERS], clients[CLIENTS];
    for (size_t i = 0; i < WORKERS; i++)
        workers[i] = start_ready(work_serial);
    for (size_t i = 0; i < CLIENTS; i++) {
        clients[i] = fork();
        if (clients[i] == 0)
            load(count, i == 0);
    }
    for (size_t round = 0; round < ROUNDS; round++) {
        struct retirement r[TOGETHER], *all[TOGETHER];
        for (size_t i = 0; i < TOGETHER; i++) {
            size_t slot = (round * TOGETHER + i) % WORKERS;
            r[i] = (struct retirement){.group = workers[slot]};
            all[i] = &r[i];
            workers[slot] = start_ready(round % 2 == 0 ? work_threads : work_serial);
        }
        assert_true(retire_within(all, TOGETHER, DEADLINE_MS));
        for (size_t i = 0; i < TOGETHER; i++)
            assert_killed(r[i].group);
    }
    WAIT_UNTIL(atomic_load(&count->served) >= 1000);
    atomic_store(&count->stop, true);
    for (size_t i = 0; i < CLIENTS; i++)
        assert_int_equal(waitpid(clients[i], NULL, 0), clients[i]);
    for (size_t i = 0; i < WORKERS; i++)
        end(workers[i]);
    print_message("           %d requests served\n", atomic_load(&count->served));
    assert_int_equal(atomic_load(&count->lost), 0);
    assert_int_equal(munmap(count, sizeof *count), 0);
}

int main(void)
{
#define TEST(name, kind)                                                                                     \
    {                                                                                                        \
#        name "_" #        kind, name, setup_##kind, teardown, NULL                                          \
    }
    const struct CMUnitTest tests[] = {
        TEST(idle_worker_is_killed, unix),
        TEST(idle_worker_is_killed, tcp),
        TEST(busy_worker_is_left_until_it_has_answered, unix),
        TEST(busy_worker_is_left_until_it_has_answered, tcp),
        TEST(busy_worker_is_left_until_it_has_answered, star),
        TEST(request_taken_just_before_the_stop_is_served, unix),
        TEST(request_taken_just_before_the_stop_is_served, tcp),
        TEST(what_is_queued_survives_a_kill, unix),
        TEST(what_is_queued_survives_a_kill, tcp),
        TEST(busy_worker_is_looked_at_less_and_less_often, unix),
        TEST(several_are_retired_together, unix),
        TEST(group_without_its_leader_is_killed, unix),
        TEST(group_that_does_not_stop_runs_on, unix),
        TEST(cancelled_worker_serves_on, unix),
        TEST(blindness_kills_nobody, unix),
        TEST(only_who_waits_for_connections_is_accepting, unix),
        TEST(worker_with_a_request_is_accepting, tcp),
        TEST(unreadable_worker_is_told_and_spared, unix),
        TEST(hot_pool_loses_no_request, unix),
        TEST(hot_pool_loses_no_request, tcp),
    };
    alarm(120);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
