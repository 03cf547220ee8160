/* Bodies: what was put in comes out, of whatever size, in memory or by a file. */
#include "pool/worker/host/body.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void fill(uint8_t *bytes, size_t start, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)((start + i) * 31 % 251);
}

/* Put in by pieces of one size, read by those of another. */
static void passes(size_t size, size_t in, size_t out, bool streams)
{
    struct body body = BODY_INIT;
    uint8_t piece[70000], expected[70000];
    size_t done = 0;
    body.streams = streams;
    for (size_t at = 0; at < size; at += in) {
        size_t length = size - at < in ? size - at : in;
        fill(piece, at, length);
        assert_int_equal(body_add(&body, (struct bytes){piece, length}), 0);
    }
    assert_int_equal(body.unread, size);
    assert_int_equal(body.fd >= 0, !streams && size > BODY_IN_MEMORY);
    body.complete = true;
    for (ssize_t got; (got = body_read(&body, piece, out)) > 0; done += (size_t)got) {
        fill(expected, done, (size_t)got);
        assert_memory_equal(piece, expected, (size_t)got);
    }
    assert_int_equal(done, size);
    assert_int_equal(body_read(&body, piece, 1), 0);
    body_fini(&body);
}

static void what_goes_in_comes_out(void **state)
{
    static const size_t sizes[] = {0, 1, 1000, BODY_IN_MEMORY, BODY_IN_MEMORY + 1, 300000};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        passes(sizes[i], 1000, 1, true);
        passes(sizes[i], 65000, 70000, false);
        passes(sizes[i], 777, 4096, false);
    }
}

static void read_while_it_comes(void **state)
{
    struct body body = BODY_INIT;
    uint8_t piece[16];
    (void)state;
    body.streams = true;
    assert_int_equal(body_read(&body, piece, sizeof piece), -EAGAIN);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(body_add(&body, bytes_of("0123456789")), 0);
        assert_int_equal(body_read(&body, piece, 7), 7);
        assert_memory_equal(piece, "0123456", 7);
        assert_int_equal(body_read(&body, piece, sizeof piece), 3);
        assert_memory_equal(piece, "789", 3);
    }
    assert_true(body.memory.capacity <= 1024);
    assert_int_equal(body_read(&body, piece, 0), 0);
    body.complete = true;
    assert_int_equal(body_read(&body, piece, sizeof piece), 0);
    body_fini(&body);
}

static void no_file_can_be_had(void **state)
{
    static uint8_t much[BODY_IN_MEMORY + 1];
    struct body body = BODY_INIT;
    (void)state;
    setenv("TMPDIR", "/nowhere", 1);
    assert_int_equal(body_add(&body, (struct bytes){much, sizeof much}), -ENOENT);
    unsetenv("TMPDIR");
    body_fini(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out),
        cmocka_unit_test(read_while_it_comes),
        cmocka_unit_test(no_file_can_be_had),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
