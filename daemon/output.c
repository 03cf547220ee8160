/* Workers' output; see output.h. */
#include "daemon/output.h"

#include "daemon/base/log.h"
#include "daemon/base/sink.h"
#include "daemon/base/unicode.h"
#include "daemon/output_file.h"
#include "daemon/recent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A longer line comes in pieces. */
#define PIECE_MAX LOG_TEXT_MAX
/* Read at a wake-up: it may be a line a byte, and there may be a thousand workers that write. */
#define READ_SIZE 4096
/* At the end a pipe is emptied. */
#define PIPE_SIZE 65536

_Static_assert(READ_SIZE <= PIECE_MAX && PIECE_MAX < SINK_LINE_MAX,
               "what is read at one time is no long line");

struct output {
    ev_io watcher;            /* on the reading end */
    uint32_t slot;            /* the tag, with pid */
    const char *hook;         /* the tag instead; NULL: a worker's */
    pid_t pid;                /* 0: not started */
    unsigned round;           /* of recent.h, when the worker was started; 0: it tells nothing there */
    struct output_file *file; /* borrowed; NULL: the log */
    char *partial;            /* begin of a line whose end has not come yet; owned, NULL mostly */
    size_t length;            /* of partial */
};

/* Every line of all of them passes here, without its newline. */
static void pass_line(const struct output *output, const char *text, size_t length)
{
    if (output->file)
        output_file_line(output->file, text, length);
    else if (output->hook)
        log_hook_output(output->hook, output->pid, text, length);
    else if (output->slot == OUTPUT_NO_SLOT)
        log_line(LOG_LEVEL_OUTPUT, "worker of a former master, pid %ld: %.*s", (long)output->pid, (int)length,
                 text);
    else if (output->slot == OUTPUT_TEMPLATE)
        log_line(LOG_LEVEL_OUTPUT, "template pid %ld: %.*s", (long)output->pid, (int)length, text);
    else
        log_output(output->slot, output->pid, text, length);
    if (output->round == recent_round() && output->slot == OUTPUT_TEMPLATE)
        recent_add("template pid %ld: %.*s", (long)output->pid, (int)length, text);
    else if (output->round == recent_round())
        recent_add("worker %u pid %ld: %.*s", output->slot, (long)output->pid, (int)length, text);
}

static void flush_lines(const struct output *output)
{
    if (output->file)
        output_file_flush(output->file);
    else
        log_flush();
}

/* Where to cut a long line: not within a UTF-8 character. */
static size_t piece_length(const char *text, size_t length)
{
    size_t start = length;
    while (start > 0 && length - start < 4 && ((unsigned char)text[--start] & 0xc0) == 0x80)
        ;
    bool cut =
        start > 0 && (unsigned char)text[start] >= 0xc0 && !unicode_length(text + start, length - start);
    return cut ? start : length;
}

/* Makes room in a line that has become too long. */
static void pass_piece(struct output *output)
{
    size_t length = piece_length(output->partial, output->length);
    pass_line(output, output->partial, length);
    output->length -= length;
    memmove(output->partial, output->partial + length, output->length);
}

/* Appends to the line that has begun. */
static void keep_partial(struct output *output, const char *text, size_t length)
{
    if (output->partial && output->length + length > PIECE_MAX)
        pass_piece(output);
    char *grown = realloc(output->partial, output->length + length + 1);
    if (!grown) {
        pass_line(output, text, length);
        return;
    }
    memcpy(grown + output->length, text, length);
    output->partial = grown;
    output->length += length;
}

static void pass_partial(struct output *output)
{
    if (output->partial)
        pass_line(output, output->partial, output->length);
    free(output->partial);
    output->partial = NULL;
    output->length = 0;
}

static void take(struct output *output, const char *text, size_t length)
{
    const char *end = text + length;
    const char *newline;
    while ((newline = memchr(text, '\n', (size_t)(end - text)))) {
        if (output->partial) {
            keep_partial(output, text, (size_t)(newline - text));
            pass_partial(output);
        } else {
            pass_line(output, text, (size_t)(newline - text));
        }
        text = newline + 1;
    }
    if (text < end)
        keep_partial(output, text, (size_t)(end - text));
}

/* Returns what read() returned. */
static ssize_t read_some(struct output *output)
{
    char buffer[READ_SIZE];
    ssize_t length = read(output->watcher.fd, buffer, sizeof buffer);
    if (length > 0) {
        take(output, buffer, (size_t)length);
        flush_lines(output);
    }
    return length;
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)events;
    if (read_some(watcher->data) == 0)
        ev_io_stop(loop, watcher);
}

/* Opens the writing end anew, for reading too. */
static int make_pipe(int ends[2])
{
    char path[32];
    if (pipe2(ends, O_CLOEXEC))
        return -errno;
    snprintf(path, sizeof path, "/proc/self/fd/%d", ends[1]);
    int both = open(path, O_RDWR | O_CLOEXEC);
    if (both >= 0) {
        close(ends[1]);
        ends[1] = both;
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    return 0;
}

struct output *output_of(uint32_t slot, struct output_file *file, int fd)
{
    struct output *output = calloc(1, sizeof *output);
    if (!output) {
        close(fd);
        return NULL;
    }
    output->slot = slot;
    output->file = file;
    ev_io_init(&output->watcher, on_readable, fd, EV_READ);
    output->watcher.data = output;
    return output;
}

int output_open(uint32_t slot, struct output_file *file, struct output **ret_output, int *ret_worker_fd)
{
    int ends[2];
    int result = make_pipe(ends);
    if (result)
        return result;
    *ret_output = output_of(slot, file, ends[0]);
    if (!*ret_output) {
        close(ends[1]);
        return -ENOMEM;
    }
    (*ret_output)->round = recent_round();
    *ret_worker_fd = ends[1];
    return 0;
}

void output_of_hook(struct output *output, const char *name)
{
    output->hook = name;
    output->file = NULL;
    output->round = 0;
}

void output_start(struct output *output, struct ev_loop *loop, pid_t pid)
{
    output->pid = pid;
    ev_io_start(loop, &output->watcher);
}

void output_read(struct output *output)
{
    for (int left = PIPE_SIZE / READ_SIZE; output && output->pid && left > 0; left--)
        if (read_some(output) <= 0)
            break;
}

void output_stop(struct output *output, struct ev_loop *loop)
{
    if (!output)
        return;
    output_read(output);
    pass_partial(output);
    flush_lines(output);
    ev_io_stop(loop, &output->watcher);
    close(output->watcher.fd);
    free(output);
}
