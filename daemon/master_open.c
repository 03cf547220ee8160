/* The begin of a master; see master_open.h. */
#include "daemon/master_open.h"

#include "daemon/base/memory.h"
#include "daemon/base/paths.h"
#include "daemon/base/pidfile.h"
#include "daemon/listen.h"
#include "daemon/logs.h"
#include "daemon/master.h"
#include "daemon/signals.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

static int open_pidfile(struct master *master, struct problem *problem)
{
    char *path __attribute__((cleanup(memory_free_text))) =
        inherit_path(master->inheritance, conf_text(master->conf, SETTING_ID_PIDFILE));
    int result = path && !master->pidfile ? pidfile_write(path, problem) : 0;
    if (result || master->pidfile)
        return result;
    master->pidfile = path;
    path = NULL;
    return 0;
}

static char *control_path(const struct master *master)
{
    return inherit_path(master->inheritance, conf_text(master->conf, SETTING_ID_CONTROL_SOCKET));
}

/* Where the control socket's lock guards it. */
static char *state_path(const struct master *master)
{
    char *control __attribute__((cleanup(memory_free_text))) = control_path(master);
    return memory_text("%s.state", control);
}

/* The former master of an upgrade lives, and looks after its own. */
static int find_orphans(struct master *master, struct problem *problem)
{
    if (master->inheritance->waits)
        return 0;
    __attribute__((cleanup(memory_free_text))) char *path = state_path(master);
    return orphans_find(&master->orphans, path, problem);
}

static int open_state(struct master *master, struct problem *problem)
{
    __attribute__((cleanup(memory_free_text))) char *path = state_path(master);
    return state_create(&master->state, path, problem);
}

static int publish_state(struct master *master, struct problem *problem)
{
    const struct listener *listener = &listeners_current(master)->listener;
    orphans_find_by_name(&master->orphans, listener);
    master_note(master, orphans_record(&master->orphans, listener, &master->state));
    return state_publish(&master->state, problem);
}

/* The runtime directory is made where the socket is to be there. */
static int open_control(struct master *master, struct problem *problem)
{
    char runtime[PATH_MAX], directory[PATH_MAX];
    char *path __attribute__((cleanup(memory_free_text))) = control_path(master);
    if (paths_runtime_directory(runtime, sizeof runtime) == 0 &&
        paths_directory(path, directory, sizeof directory) == 0 && strcmp(runtime, directory) == 0) {
        int result = paths_make_runtime_directory(problem);
        if (result)
            return result;
    }
    int result = control_open(&master->control, path, problem);
    if (result == -EADDRINUSE) {
        struct problem reason = *problem;
        problem_set(problem, result, "pool %s runs already: %s", master->name, reason.text);
    }
    return result;
}

static int open_signals(struct master *master, struct problem *problem)
{
    int result = signals_start(master);
    return result ? problem_set(problem, result, "signalfd: %s", strerror(-result)) : 0;
}

/* The library that sees into workers is not needed but for "observe": "preload". */
static int open_pages(struct master *master, struct problem *problem)
{
    const char *observe = conf_text(master->conf, SETTING_ID_OBSERVE);
    if (strcmp(observe, "kernel") == 0)
        return 0;
    int result = pages_open(&master->pages, problem);
    if (result == 0 || strcmp(observe, "preload") == 0)
        return result;
    log_warning("workers are observed from outside only: %s", problem->text);
    return 0;
}

int master_open(struct master *master, struct problem *problem)
{
    int result = open_signals(master, problem);
    if (result == 0)
        result = open_control(master, problem);
    inherit_standard(master->inheritance);
    if (result == 0)
        result = logs_open(master, problem);
    if (result == 0)
        result = open_pages(master, problem);
    if (result == 0)
        result = find_orphans(master, problem);
    if (result == 0)
        result = open_state(master, problem);
    if (result == 0 && master->orphans.left > 0)
        result = open_pidfile(master, problem);
    if (result == 0)
        result = listen_open(master, problem);
    if (result == 0)
        result = publish_state(master, problem);
    if (result == 0)
        result = open_pidfile(master, problem);
    return result;
}
