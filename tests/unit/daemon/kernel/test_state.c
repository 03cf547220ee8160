/*
 * The state file: what is written is read again, and what is not ours is refused or skipped.
 */
#include "daemon/kernel/state.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define HEADER_SIZE 384 /* with one socket */

static char directory[64];
static char path[96];
static char other[96];

static int setup(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/fcgipool-state-XXXXXX");
    if (mkdtemp(directory) == NULL)
        return -1;
    (void)snprintf(path, sizeof path, "%s/state", directory);
    (void)snprintf(other, sizeof other, "%s/other", directory);
    return 0;
}

/* rmdir is the test that nothing was left behind. */
static int teardown(void **state)
{
    (void)state;
    (void)unlink(path);
    (void)unlink(other);
    return rmdir(directory);
}

static struct listener some_listener(const char *address)
{
    struct problem problem;
    struct listener listener = {.fd = -1,
                                .lock_fd = -1,
                                .inode = 4711,
                                .cookie = 0xffffffffffffffff,
                                .path_device = 77,
                                .path_inode = 1234567};
    assert_int_equal(address_parse(address, &listener.address, &problem), 0);
    return listener;
}

static void create(struct state *file)
{
    struct problem problem = {0};
    struct listener listener = some_listener("unix:/run/a b/app.sock");
    *file = (struct state)STATE_INIT;
    if (state_create(file, path, &problem) != 0 || state_name_sockets(file, &listener, 1) != 0 ||
        access(path, F_OK) == 0 || state_publish(file, &problem) != 0)
        fail_msg("%s", problem.text);
}

static void add(struct state *file, pid_t pid)
{
    struct state_record record = {
        .pid = pid, .start = 1000ULL * (uint64_t)pid, .inode = 4711, .cookie = UINT64_MAX};
    assert_int_equal(state_add(file, &record), 0);
}

static struct state_former read_back(void)
{
    struct problem problem = {0};
    struct state_former former = STATE_FORMER_INIT;
    if (state_read(path, &former, &problem) != 0)
        fail_msg("%s", problem.text);
    return former;
}

static void test_round_trip(void **state)
{
    struct state file;
    char address[ADDRESS_TEXT_SIZE];
    (void)state;
    create(&file);
    for (pid_t pid = 2; pid < 200; pid++)
        add(&file, pid);
    assert_int_equal(state_drop(&file, 3, 3000), 0);
    assert_int_equal(state_drop(&file, 4, 4000), 0);
    assert_int_equal(state_drop(&file, 99999, 99999000), 0);
    assert_int_equal(state_drop(&file, 5, 3000), 0); /* another process */
    add(&file, 1000);
    struct state_former former = read_back();
    assert_false(former.garbage);
    address_format(&former.sockets[0].address, address, sizeof address);
    assert_string_equal(address, "unix:/run/a b/app.sock");
    assert_int_equal(former.sockets[0].fd, -1);
    assert_true(former.sockets[0].inode == 4711 && former.sockets[0].cookie == UINT64_MAX);
    assert_true(former.sockets[0].path_device == 77 && former.sockets[0].path_inode == 1234567);
    assert_int_equal(former.count, 197);
    assert_int_equal(former.records[1].pid, 1000); /* where 3 was */
    assert_true(former.records[1].start == 1000000 && former.records[1].inode == 4711 &&
                former.records[1].cookie == UINT64_MAX);
    state_former_fini(&former);
    state_close(&file, true);
    assert_int_equal(access(path, F_OK), -1);
}

static void test_largest_numbers_fit(void **state)
{
    struct state file;
    (void)state;
    create(&file);
    struct state_record record = {.pid = INT32_MAX, .start = UINT64_MAX, .inode = UINT64_MAX, .cookie = 1};
    assert_int_equal(state_add(&file, &record), 0);
    struct state_former former = read_back();
    assert_false(former.garbage);
    assert_int_equal(former.count, 1);
    assert_int_equal(former.records[0].pid, INT32_MAX);
    assert_true(former.records[0].start == UINT64_MAX && former.records[0].inode == UINT64_MAX &&
                former.records[0].cookie == 1);
    state_former_fini(&former);
    state_close(&file, false);
    assert_int_equal(access(path, F_OK), 0);
}

static void test_each_socket_has_its_address(void **state)
{
    const char *texts[] = {"unix:/run/new.sock ", "127.0.0.1:9000", "unix:@a  b ", "*:80"};
    struct problem problem = {0};
    struct listener sockets[4];
    struct state file = STATE_INIT;
    char address[ADDRESS_TEXT_SIZE];
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        sockets[i] = some_listener(texts[i]);
        sockets[i].inode += i;
        sockets[i].foreign = i % 2;
    }
    assert_int_equal(state_create(&file, path, &problem), 0);
    assert_int_equal(state_name_sockets(&file, sockets, 4), 0);
    add(&file, 50);
    assert_int_equal(state_publish(&file, &problem), 0);
    struct state_former former = read_back();
    assert_false(former.garbage);
    assert_true(former.count == 1 && former.socket_count == 4);
    for (size_t i = 0; i < 4; i++) {
        address_format(&former.sockets[i].address, address, sizeof address);
        assert_string_equal(address, texts[i]);
        assert_int_equal(former.sockets[i].inode, 4711 + i);
        assert_int_equal(former.sockets[i].foreign, i % 2);
    }
    state_former_fini(&former);
    state_close(&file, true);
}

static void test_other_sockets_later(void **state)
{
    struct listener sockets[] = {some_listener("127.0.0.1:9000"), some_listener("unix:/run/a b/app.sock")};
    struct state file;
    (void)state;
    create(&file);
    add(&file, 50);
    add(&file, 51);
    for (pid_t count = 2; count > 0; count--) {
        assert_int_equal(state_renew(&file, sockets, (size_t)count), 0);
        assert_int_equal(state_drop(&file, 52 - count, 1000 * (52 - (uint64_t)count)), 0);
        add(&file, 60 + count);
        struct state_former former = read_back();
        assert_true(!former.garbage && former.count == 2 && former.socket_count == (size_t)count);
        assert_int_equal(former.records[0].pid, 62); /* where 50 was */
        state_former_fini(&former);
    }
    state_close(&file, true);
}

static void test_a_file_that_cannot_be_written_anew_stays(void **state)
{
    struct listener sockets[] = {some_listener("127.0.0.1:9000"), some_listener("127.0.0.1:9001")};
    char draft[sizeof path + 4];
    struct state file;
    (void)state;
    create(&file);
    add(&file, 50);
    (void)snprintf(draft, sizeof draft, "%s.new", path);
    assert_int_equal(mkdir(draft, 0700), 0);
    assert_int_equal(state_renew(&file, sockets, 2), -EEXIST);
    assert_int_equal(rmdir(draft), 0);
    add(&file, 51);
    struct state_former former = read_back();
    assert_true(!former.garbage && former.count == 2 && former.socket_count == 1);
    state_former_fini(&former);
    state_close(&file, true);
}

static void test_nothing_there(void **state)
{
    (void)state;
    struct state_former former = read_back();
    assert_false(former.garbage);
    assert_true(former.count == 0 && former.socket_count == 0);
}

static void overwrite(off_t offset, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, text, strlen(text), offset), strlen(text));
    close(fd);
}

static void test_another_boot_is_nobody(void **state)
{
    struct state file;
    (void)state;
    create(&file);
    add(&file, 50);
    overwrite((off_t)strlen("fcgipool state 2 "), "00000000-1111-2222-3333-444444444444");
    struct state_former former = read_back();
    assert_false(former.garbage);
    assert_true(former.count == 0 && former.socket_count == 0);
    state_former_fini(&former);
    state_close(&file, false);
}

static void test_damage_is_skipped(void **state)
{
    struct state file;
    (void)state;
    create(&file);
    add(&file, 50);
    add(&file, 51);
    add(&file, 52);
    overwrite(HEADER_SIZE + 64, "garbage");
    assert_int_equal(truncate(path, HEADER_SIZE + 3 * 64 + 10), 0);
    struct state_former former = read_back();
    assert_true(former.garbage);
    assert_int_equal(former.count, 2);
    assert_int_equal(former.records[1].pid, 52);
    state_former_fini(&former);

    overwrite(0, "fcgipool state 1 ");
    former = read_back();
    assert_true(former.garbage);
    assert_true(former.count == 0 && former.socket_count == 0);
    state_former_fini(&former);

    assert_int_equal(truncate(path, 0), 0);
    former = read_back();
    assert_true(former.garbage);
    assert_int_equal(truncate(path, 1LL << 40), 0);
    former = read_back();
    assert_true(former.garbage);
    state_close(&file, false);
}

static void test_pids_that_no_worker_has(void **state)
{
    struct state file;
    (void)state;
    create(&file);
    add(&file, 50);
    overwrite(HEADER_SIZE, "1 ");
    struct state_former former = read_back();
    assert_true(former.garbage && former.count == 0);
    state_former_fini(&former);
    overwrite(HEADER_SIZE, "-1 ");
    former = read_back();
    assert_true(former.garbage && former.count == 0);
    state_former_fini(&former);
    state_close(&file, false);
}

static void assert_refused(int error)
{
    struct problem problem = {0};
    struct state_former former = STATE_FORMER_INIT;
    assert_int_equal(state_read(path, &former, &problem), error);
    assert_non_null(strstr(problem.text, path));
}

static void test_what_is_not_ours_is_refused(void **state)
{
    struct state file;
    (void)state;
    create(&file);
    assert_int_equal(link(path, other), 0);
    assert_refused(-EPERM);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink(other, path), 0);
    assert_refused(-ELOOP);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_refused(-EPERM);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_refused(-EPERM);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rename(other, path), 0);
    assert_int_equal(chmod(path, 0620), 0);
    assert_refused(-EPERM);
    state_close(&file, false);
}

static void test_unpublished_is_nowhere(void **state)
{
    struct problem problem = {0};
    struct state file = STATE_INIT;
    (void)state;
    assert_int_equal(state_create(&file, path, &problem), 0);
    state_close(&file, false);
    (void)snprintf(other, sizeof other, "%s/nowhere/state", directory);
    assert_int_equal(state_create(&file, other, &problem), -ENOENT);
    assert_non_null(strstr(problem.text, other));
    state_close(&file, false);
    state_close(&file, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_largest_numbers_fit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_each_socket_has_its_address, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_sockets_later, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_file_that_cannot_be_written_anew_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_there, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_boot_is_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage_is_skipped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pids_that_no_worker_has, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_not_ours_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unpublished_is_nowhere, setup, teardown),
    };
    return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
