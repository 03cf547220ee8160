/* A command's half of the control socket; see client.h. */
#include "daemon/cmd/client.h"

#include "daemon/base/clock.h"
#include "daemon/base/memory.h"
#include "daemon/base/paths.h"
#include "daemon/base/unicode.h"
#include "daemon/cmd/options.h"
#include "daemon/conf/conf.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static int fail(int code, const char *path, const char *why)
{
    fprintf(stderr, "fcgipool: control socket %s: %s\n", path, why);
    return code;
}

/* Only our user's master and root's are believed. */
static bool is_trusted(int fd)
{
    struct ucred peer;
    socklen_t length = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid() || geteuid() == 0);
}

static const char late[] = "the time was over before it was done";

/* What is left until the deadline (0: none) limits what `option` says, SO_RCVTIMEO or SO_SNDTIMEO. Returns
 * false with errno EAGAIN when it has passed. */
static bool limit_time(int fd, int option, int64_t deadline_ms)
{
    int64_t left_ms = deadline_ms ? deadline_ms - clock_now_ms() : 0;
    struct timeval limit = {.tv_sec = left_ms / 1000, .tv_usec = left_ms % 1000 * 1000};
    errno = EAGAIN;
    return (!deadline_ms || left_ms > 0) && setsockopt(fd, SOL_SOCKET, option, &limit, sizeof limit) == 0;
}

static int fail_to_connect(const char *path, int error)
{
    if (error == ENOENT || error == ECONNREFUSED)
        return fail(EXIT_NO_MASTER, path, "no master runs here");
    if (error == EAGAIN)
        return fail(EXIT_NOT_NOW, path, late);
    return fail(EXIT_FAILED, path, strerror(error));
}

/* Returns 0 with the connection, or an exit code. A master that does not run need not take it: the deadline
 * (0: none) counts here too. */
static int connect_to(const char *path, int64_t deadline_ms, FILE **ret_stream)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return fail(EXIT_USAGE, path, "the path is too long");
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail(EXIT_FAILED, path, strerror(errno));
    int code = EXIT_DONE;
    if (!limit_time(fd, SO_SNDTIMEO, deadline_ms) ||
        connect(fd, (const struct sockaddr *)&address, sizeof address))
        code = fail_to_connect(path, errno);
    else if (!is_trusted(fd))
        code = fail(EXIT_FAILED, path, "belongs to another user's process");
    else if (!(*ret_stream = fdopen(fd, "r+")))
        code = fail(EXIT_FAILED, path, strerror(errno));
    if (code)
        close(fd);
    return code;
}

static void show_progress(const json_t *progress)
{
    char *text = isatty(STDERR_FILENO) ? json_dumps(progress, JSON_COMPACT) : NULL;
    if (text)
        fprintf(stderr, "\r\033[K%s", text);
    free(text);
}

static void end_progress(bool shown)
{
    if (shown && isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

/* getline() until the deadline (0: none). Returns false with errno EAGAIN when it has passed. */
static bool read_line(FILE *stream, int64_t deadline_ms, char **line, size_t *size)
{
    if (!limit_time(fileno(stream), SO_RCVTIMEO, deadline_ms))
        return false;
    errno = 0;
    return getline(line, size, stream) > 0;
}

/* Who answers may be somebody who has got at the socket: nothing of it is for the terminal to obey. */
static void make_printable(json_t *value)
{
    const char *key;
    size_t index;
    json_t *member;
    if (json_is_string(value)) {
        char *text __attribute__((cleanup(memory_free_text))) = memory_must(strdup(json_string_value(value)));
        unicode_make_printable(text, strlen(text));
        json_string_set(value, text);
    } else if (json_is_array(value)) {
        json_array_foreach(value, index, member)
        {
            make_printable(member);
        }
    } else {
        json_object_foreach(value, key, member)
        {
            make_printable(member);
        }
    }
}

/* Says it, and returns the exit code that it asks for. */
static int report_error(const char *path, const json_t *error)
{
    const char *text = json_string_value(json_object_get(error, "text"));
    json_int_t code = json_integer_value(json_object_get(error, "code"));
    if (!text || code < 1 || code > 255)
        return fail(EXIT_FAILED, path, "the answer is an error that says nothing");
    fprintf(stderr, "fcgipool: %s\n", text);
    return (int)code;
}

/* Reads until the final answer. */
static int read_answer(FILE *stream, const char *path, int64_t deadline_ms, json_t **ret_result)
{
    char *line = NULL;
    size_t size = 0;
    bool shown = false;
    int code = -1;
    while (code < 0 && read_line(stream, deadline_ms, &line, &size)) {
        json_t *message = json_loads(line, 0, NULL);
        make_printable(message);
        const json_t *error = json_object_get(message, "error");
        json_t *result = json_object_get(message, "result");
        if (result || error)
            end_progress(shown);
        if (result) {
            *ret_result = json_incref(result);
            code = EXIT_DONE;
        } else if (error) {
            code = report_error(path, error);
        } else {
            show_progress(json_object_get(message, "progress"));
            shown = true;
        }
        json_decref(message);
    }
    bool was_late = code < 0 && errno == EAGAIN;
    free(line);
    if (was_late) {
        end_progress(shown);
        return fail(EXIT_NOT_NOW, path, late);
    }
    return code < 0 ? fail(EXIT_FAILED, path, "the master went away without an answer") : code;
}

/* Takes over `args`. */
static json_t *request_json(const char *file, const char *control, const char *command, json_t *args)
{
    char absolute[PATH_MAX];
    json_t *request =
        json_pack("{s:i,s:s,s:o}", "v", 1, "command", command, "args", args ? args : json_object());
    /* Who names the socket means the master behind it, whatever its file. */
    if (!control && paths_absolute_here(file, absolute, sizeof absolute) == 0)
        json_object_set_new(request, "file", json_string(absolute));
    return request;
}

int client_run(const char *file, const char *control, const char *command, json_t *args, json_t **ret_result)
{
    return client_run_within(0, file, control, command, args, ret_result);
}

int client_run_within(int64_t timeout_ms, const char *file, const char *control, const char *command,
                      json_t *args, json_t **ret_result)
{
    int64_t deadline_ms = timeout_ms ? clock_now_ms() + timeout_ms : 0;
    char path[PATH_MAX];
    FILE *stream;
    json_t *request = request_json(file, control, command, args);
    int code = EXIT_DONE, error;
    if (control)
        snprintf(path, sizeof path, "%s", control);
    else if ((error = conf_control_socket(file, path, sizeof path)) != 0)
        code = fail(EXIT_USAGE, file, strerror(-error));
    if (!control && code == EXIT_DONE && !json_object_get(request, "file"))
        code = fail(EXIT_USAGE, file, "the path is not valid UTF-8");
    if (code == EXIT_DONE)
        code = connect_to(path, deadline_ms, &stream);
    if (code == EXIT_DONE) {
        json_dumpf(request, stream, JSON_COMPACT);
        fputc('\n', stream);
        fflush(stream);
        code = read_answer(stream, path, deadline_ms, ret_result);
        fclose(stream);
    }
    json_decref(request);
    return code;
}

int client_command(int argc, char **argv, const char *usage, struct options_client *ret_options,
                   json_t **ret_result)
{
    int code;
    *ret_result = NULL;
    if (!options_client(argc, argv, usage, NULL, ret_options, &code))
        return code;
    return client_run(ret_options->file, ret_options->control, argv[0], NULL, ret_result);
}

int client_command_plain(int argc, char **argv, const char *usage)
{
    struct options_client options;
    json_t *result;
    int code = client_command(argc, argv, usage, &options, &result);
    json_decref(result);
    return code;
}
