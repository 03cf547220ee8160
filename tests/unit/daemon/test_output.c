/* Where a long line of a worker is cut. */
#include "daemon/output.h"

#include "daemon/base/log.h"
#include "daemon/base/unicode.h"
#include "daemon/output_file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LINE_SIZE 20000

static char path[] = "/tmp/fcgipool-test-XXXXXX";
static char given[LINE_SIZE + 8], found[2 * LINE_SIZE];

/* Has a worker write `length` bytes of `given` as one line, and reads into `found` what arrives. */
static size_t pass(size_t length)
{
    struct output *output;
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct output_file *file = output_file_new("worker_output_file", "lines of the workers");
    int worker_fd;
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(output_file_open(file, path), 0);
    assert_int_equal(output_open(0, file, &output, &worker_fd), 0);
    output_start(output, loop, getpid());
    given[length] = '\n';
    assert_int_equal(write(worker_fd, given, length + 1), length + 1);
    close(worker_fd);
    output_stop(output, loop);
    output_file_free(file);
    ev_loop_destroy(loop);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = read(fd, found, sizeof found);
    close(fd);
    assert_true(size > 0);
    return (size_t)size;
}

/* Every piece is whole characters if `whole`, none is longer than it may be, and together they are the line.
 */
static void check_pieces(size_t length, bool whole)
{
    size_t size = pass(length), at = 0, pieces = 0;
    for (const char *piece = found, *end; piece < found + size; piece = end + 1, pieces++) {
        end = memchr(piece, '\n', (size_t)(found + size - piece));
        assert_non_null(end);
        assert_true(end - piece <= LOG_TEXT_MAX);
        assert_memory_equal(piece, given + at, (size_t)(end - piece));
        at += (size_t)(end - piece);
        for (const char *c = piece; whole && c < end;) {
            size_t step = unicode_length(c, (size_t)(end - c));
            assert_true(step > 0);
            c += step;
        }
    }
    assert_int_equal(at, length);
    assert_int_equal(pieces > 1, length > LOG_TEXT_MAX);
}

/* Characters of one to four bytes, at every offset to where the line is cut. */
static void test_characters_stay_whole(void **state)
{
    (void)state;
    static const char *const characters[] = {"x", "\xc3\xbc", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    for (size_t size = 1; size <= 4; size++)
        for (size_t offset = 0; offset <= 4; offset++) {
            size_t length = offset;
            memset(given, '-', offset);
            for (; length + size <= LINE_SIZE; length += size)
                memcpy(given + length, characters[size - 1], size);
            check_pieces(length, true);
        }
}

static void test_bytes_that_are_no_characters_are_not_lost(void **state)
{
    (void)state;
    for (unsigned byte = 0x80; byte <= 0xff; byte++) {
        memset(given, (int)byte, LINE_SIZE);
        check_pieces(LINE_SIZE, false);
    }
}

static void test_lengths_at_the_border(void **state)
{
    (void)state;
    for (size_t length = LOG_TEXT_MAX - 4; length <= LOG_TEXT_MAX + 4; length++) {
        memset(given, 'x', length);
        check_pieces(length, true);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_characters_stay_whole),
        cmocka_unit_test(test_bytes_that_are_no_characters_are_not_lost),
        cmocka_unit_test(test_lengths_at_the_border),
    };
    int fd = mkstemp(path);
    if (fd < 0)
        return 1;
    close(fd);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
