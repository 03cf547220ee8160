/* Workers' output; see output.h. */
#include "daemon/output.h"

#include "daemon/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A longer line is logged in pieces. */
#define PIECE_MAX 8192
/* Read at a wake-up: it may be a line a byte, and there may be a thousand workers that write. */
#define READ_SIZE 1024
/* At the end a pipe is emptied. */
#define PIPE_SIZE 65536

struct output {
    ev_io watcher; /* on the reading end */
    uint32_t slot; /* the tag, with pid */
    pid_t pid;     /* 0: not started */
    char *partial; /* begin of a line whose end has not come yet; owned, NULL mostly */
    size_t length; /* of partial */
};

static void log_piece(const struct output *output, const char *text, size_t length)
{
    log_line(LOG_LEVEL_OUTPUT, "worker %u pid %ld: %.*s", output->slot, (long)output->pid, (int)length, text);
}

/* Appends to the line that has begun; logs it when it is full. */
static void keep_partial(struct output *output, const char *text, size_t length)
{
    if (output->length + length > PIECE_MAX && output->partial) {
        log_piece(output, output->partial, output->length);
        output->length = 0;
    }
    char *grown = realloc(output->partial, output->length + length);
    if (!grown) {
        log_piece(output, text, length);
        return;
    }
    memcpy(grown + output->length, text, length);
    output->partial = grown;
    output->length += length;
}

static void flush_partial(struct output *output)
{
    if (output->partial)
        log_piece(output, output->partial, output->length);
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
            flush_partial(output);
        } else {
            log_piece(output, text, (size_t)(newline - text));
        }
        text = newline + 1;
    }
    if (text < end)
        keep_partial(output, text, (size_t)(end - text));
}

/* A NUL would end the line in the middle. */
static void replace_nuls(char *text, size_t length)
{
    for (char *nul = text; (nul = memchr(nul, '\0', length - (size_t)(nul - text)));)
        *nul = '?';
}

/* Returns what read() returned. */
static ssize_t read_some(struct output *output)
{
    char buffer[READ_SIZE];
    ssize_t length = read(output->watcher.fd, buffer, sizeof buffer);
    if (length > 0) {
        replace_nuls(buffer, (size_t)length);
        take(output, buffer, (size_t)length);
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

int output_open(uint32_t slot, struct output **ret_output, int *ret_worker_fd)
{
    int ends[2];
    struct output *output = calloc(1, sizeof *output);
    int result = output ? make_pipe(ends) : -ENOMEM;
    if (result) {
        free(output);
        return result;
    }
    output->slot = slot;
    ev_io_init(&output->watcher, on_readable, ends[0], EV_READ);
    output->watcher.data = output;
    *ret_output = output;
    *ret_worker_fd = ends[1];
    return 0;
}

void output_start(struct output *output, struct ev_loop *loop, pid_t pid)
{
    output->pid = pid;
    ev_io_start(loop, &output->watcher);
}

void output_stop(struct output *output, struct ev_loop *loop)
{
    if (!output)
        return;
    for (int left = PIPE_SIZE / READ_SIZE; output->pid && left > 0; left--)
        if (read_some(output) <= 0)
            break;
    flush_partial(output);
    ev_io_stop(loop, &output->watcher);
    close(output->watcher.fd);
    free(output);
}
