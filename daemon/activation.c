/* Socket activation; see activation.h. */
#include "daemon/activation.h"

#include "daemon/base/memory.h"
#include "daemon/conf/conf.h"
#include "daemon/kernel/foreign.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The first that is passed; the others follow. */
#define FIRST_FD (STDERR_FILENO + 1)

/* ---- the environment ---- */

/* 0: no number, or none that makes sense. */
static int number(const char *text)
{
    char *end;
    errno = 0;
    long value = text ? strtol(text, &end, 10) : 0;
    return value > 0 && value < INT_MAX - FIRST_FD && errno == 0 && *end == '\0' ? (int)value : 0;
}

void activation_take(struct activation *ret_activation)
{
    static const char *const ours[] = {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"};
    const char *names = getenv("LISTEN_FDNAMES");
    int pid = number(getenv("LISTEN_PID")), count = number(getenv("LISTEN_FDS"));
    *ret_activation = (struct activation){.listener = LISTENER_INIT};
    if (count > 0 && pid == getpid()) {
        ret_activation->count = count;
        ret_activation->names = names ? memory_must(strdup(names)) : NULL;
    } else if (count > 0) {
        ret_activation->other = pid;
    }
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        unsetenv(ours[i]);
}

/* ---- which one ---- */

/* Counts the sockets of this name, and gives the first. */
static int find_named(const struct activation *activation, const char *name, int *ret_fd)
{
    const char *at = activation->names;
    size_t length = strlen(name);
    int found = 0;
    for (int i = 0; at && i < activation->count; i++) {
        size_t end = strcspn(at, ":");
        if (end == length && strncmp(at, name, length) == 0 && found++ == 0)
            *ret_fd = FIRST_FD + i;
        at = at[end] == ':' ? at + end + 1 : NULL;
    }
    return found;
}

static int choose_passed(const struct activation *activation, const char *name, int *ret_fd,
                         struct problem *problem)
{
    *ret_fd = FIRST_FD;
    if (activation->count == 1)
        return 0;
    if (activation->count == 0 && activation->other)
        return problem_set(problem, -ENOENT,
                           "sockets were passed to process %ld (LISTEN_PID), and this is %ld: what is "
                           "between systemd and fcgipool must exec it",
                           (long)activation->other, (long)getpid());
    if (activation->count == 0)
        return problem_set(problem, -ENOENT,
                           "no socket was passed (LISTEN_FDS): is the socket unit started, and does it "
                           "belong to this service?");
    int found = find_named(activation, name, ret_fd);
    if (found == 1)
        return 0;
    return problem_set(problem, -ENOENT,
                       "%d sockets were passed, and %d of them have the name of the pool, \"%s\": one has to "
                       "(FileDescriptorName= of the socket unit)",
                       activation->count, found, name);
}

static int choose(const struct activation *activation, const struct conf *conf, int *ret_fd,
                  struct problem *problem)
{
    enum conf_listen kind = conf_listen(conf, ret_fd);
    if (kind == CONF_LISTEN_SYSTEMD)
        return choose_passed(activation, conf_text(conf, SETTING_ID_NAME), ret_fd, problem);
    if (activation->count > 0)
        return problem_set(problem, -EINVAL,
                           "%d %s passed by a socket unit (LISTEN_FDS), whose clients nobody would serve: "
                           "use \"systemd\", or stop the unit",
                           activation->count, activation->count == 1 ? "socket was" : "sockets were");
    return 0;
}

/* ---- opening ---- */

/* Whoever is executed by us has none of them. */
static void close_others(const struct activation *activation, int chosen)
{
    for (int i = 0; i < activation->count; i++)
        if (FIRST_FD + i != chosen && close(FIRST_FD + i) != 0)
            return;
}

int activation_open(struct activation *activation, const struct conf *conf, struct problem *problem)
{
    int chosen = -1;
    int error = choose(activation, conf, &chosen, problem);
    if (error == 0 && chosen >= 0)
        error = foreign_listener(chosen, &activation->listener, problem);
    if (error == 0)
        close_others(activation, chosen);
    else
        conf_locate_problem(conf, SETTING_ID_LISTEN, problem);
    activation_leave_stdin();
    return error;
}

void activation_fini(struct activation *activation)
{
    listener_close(&activation->listener);
    free(activation->names);
    activation->names = NULL;
}

void activation_leave_stdin(void)
{
    int listening = 0;
    socklen_t size = sizeof listening;
    if (getsockopt(STDIN_FILENO, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 || !listening)
        return;
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd >= 0) {
        (void)dup2(fd, STDIN_FILENO);
        close(fd);
    }
}
