/* The new master of an upgrade; see inherit.h. */
#include "daemon/inherit.h"

#include "daemon/base/fd.h"
#include "daemon/base/memory.h"
#include "daemon/base/pidfile.h"
#include "daemon/base/title.h"
#include "daemon/kernel/foreign.h"
#include "daemon/kernel/path_lock.h"
#include "daemon/listen.h"
#include "daemon/master.h"
#include "daemon/recent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- what was given ---- */

static int take_fd(struct inheritance *inheritance, enum handover_fd which)
{
    int fd = inheritance->fds[which];
    inheritance->fds[which] = -1;
    return fd;
}

static json_int_t number(const struct inheritance *inheritance, const char *name)
{
    return json_integer_value(json_object_get(inheritance->will, name));
}

void inherit_take(struct inheritance *ret_inheritance)
{
    const char *text = getenv(HANDOVER_VARIABLE);
    struct inheritance inheritance = {.complaints = -1};
    bool given = text && handover_parse(text, inheritance.fds) &&
                 handover_receive(inheritance.fds[HANDOVER_LINK], &inheritance.will) == 0 &&
                 json_is_object(inheritance.will);
    for (enum handover_fd i = 0; !given && i < HANDOVER_FDS; i++)
        inheritance.fds[i] = -1; /* whatever they are, they are not for us */
    if (text && !given)
        fputs("fcgipool: " HANDOVER_VARIABLE " is not from a master that is there: it is ignored\n", stderr);
    inheritance.waits = given;
    unsetenv(HANDOVER_VARIABLE);
    *ret_inheritance = inheritance;
}

void inherit_fini(struct inheritance *inheritance)
{
    for (enum handover_fd i = 0; i < HANDOVER_FDS; i++)
        fd_close(&inheritance->fds[i]);
    fd_close(&inheritance->complaints);
    json_decref(inheritance->will);
    inheritance->will = NULL;
}

char *inherit_path(const struct inheritance *inheritance, const char *path)
{
    return path ? memory_text("%s%s", path, inheritance->waits ? ".2" : "") : NULL;
}

uint64_t inherit_generation(const struct inheritance *inheritance)
{
    json_int_t generation = number(inheritance, "generation");
    return generation > 0 ? (uint64_t)generation + 1 : 1;
}

/* What was set by hand holds unless the file has changed it. */
static bool finds_floor(const struct master *master, const json_t *message, int64_t *ret_floor)
{
    json_int_t min = json_integer_value(json_object_get(message, "min"));
    json_int_t floor = json_integer_value(json_object_get(message, "floor"));
    if (!json_is_true(json_object_get(message, "by_hand")) || min != master->settings.workers_min ||
        floor < 0 || floor > POLICY_WORKERS_MAX)
        return false;
    *ret_floor = floor;
    return true;
}

/* Where nobody is wanted, one is started nevertheless: to see whether he can be. */
void inherit_policy(struct master *master)
{
    const struct inheritance *inheritance = master->inheritance;
    int64_t floor = master->settings.workers_min, wanted = number(inheritance, "wanted");
    if (!inheritance->will)
        return;
    (void)finds_floor(master, inheritance->will, &floor);
    policy_succeed(&master->policy, inherit_generation(inheritance), floor, wanted > 0 ? wanted : 1);
}

int inherit_check(const struct inheritance *inheritance, const struct conf *conf, struct problem *problem)
{
    const char *former =
        json_string_value(json_object_get(json_object_get(inheritance->will, "control"), "path"));
    const char *path = conf_text(conf, SETTING_ID_CONTROL_SOCKET);
    if (!inheritance->will || (former && strcmp(former, path) == 0))
        return 0;
    return problem_set(
        problem, -EINVAL,
        "the control socket would be %s, and that of the running pool is %s: to change it, or the "
        "name, the pool has to be stopped and started",
        path, former ? former : "unknown");
}

void inherit_standard(struct inheritance *inheritance)
{
    if (!inheritance->will)
        return;
    inheritance->complaints = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    (void)dup2(inheritance->fds[HANDOVER_STDOUT], STDOUT_FILENO);
    (void)dup2(inheritance->fds[HANDOVER_STDERR], STDERR_FILENO);
    fd_close(&inheritance->fds[HANDOVER_STDOUT]);
    fd_close(&inheritance->fds[HANDOVER_STDERR]);
}

void inherit_complain(struct inheritance *inheritance)
{
    fflush(NULL);
    if (inheritance->complaints >= 0)
        (void)dup2(inheritance->complaints, STDERR_FILENO);
}

/* Of the file at a socket's path; without one there is none. */
static void identity_of(const struct inheritance *inheritance, const char *name, struct listener *listener)
{
    const json_t *identity = json_object_get(inheritance->will, name);
    listener->path_device = (dev_t)json_integer_value(json_object_get(identity, "device"));
    listener->path_inode = (ino_t)json_integer_value(json_object_get(identity, "inode"));
}

/* A socket that others keep was passed to the first of us only, and goes on from there. */
static int take_foreign(const struct master *master, struct listener *listener, struct problem *problem)
{
    const char *passed = json_string_value(json_object_get(master->inheritance->will, "passed"));
    const char *wanted = conf_text(master->conf, SETTING_ID_LISTEN);
    if (conf_listen(master->conf, NULL) == CONF_LISTEN_ADDRESS)
        return 1;
    if (!passed || strcmp(passed, wanted) != 0)
        return problem_set(problem, -EINVAL,
                           "listen: \"%s\" is another socket than that of the former master, which needs a "
                           "restart",
                           wanted);
    return foreign_listener(listener->fd, listener, problem);
}

static int take_own(const struct master *master, struct listener *listener, struct problem *problem)
{
    const struct inheritance *inheritance = master->inheritance;
    struct address address;
    int result = address_parse(conf_text(master->conf, SETTING_ID_LISTEN), &address, problem);
    if (result)
        return result;
    listener->lock_fd = inheritance->fds[HANDOVER_LISTENER_LOCK];
    identity_of(inheritance, "listener", listener);
    return listener_inherit(&address, listener, problem);
}

int inherit_listener(struct master *master, struct listener *ret_listener, struct problem *problem)
{
    struct inheritance *inheritance = master->inheritance;
    struct listener listener = LISTENER_INIT;
    if (!inheritance->will)
        return 1;
    listener.fd = inheritance->fds[HANDOVER_LISTENER];
    bool foreign = json_is_string(json_object_get(inheritance->will, "passed")) ||
                   conf_listen(master->conf, NULL) != CONF_LISTEN_ADDRESS;
    int result = foreign ? take_foreign(master, &listener, problem) : take_own(master, &listener, problem);
    if (result) { /* it must not stay open when the old one closes it */
        fd_close(&inheritance->fds[HANDOVER_LISTENER]);
        fd_close(&inheritance->fds[HANDOVER_LISTENER_LOCK]);
        return result;
    }
    inheritance->fds[HANDOVER_LISTENER] = inheritance->fds[HANDOVER_LISTENER_LOCK] = -1;
    inheritance->shared = true;
    *ret_listener = listener;
    return 0;
}

bool inherit_shares(const struct master *master)
{
    const struct inheritance *inheritance = master->inheritance;
    return inheritance->waits && inheritance->shared && !inheritance->promised;
}

/* ---- the old master goes ---- */

/* What it has counted goes on here, and what was asked of it since. */
static void take_last(struct master *master, const json_t *last)
{
    int64_t floor;
    const json_t *counters = json_object_get(last, "counters");
    struct stats stats = {0};
#define STAT(field, help) stats.field += (uint64_t)json_integer_value(json_object_get(counters, #field));
#include "pool/stats.def"
#undef STAT
    policy_add_stats(&master->policy, &stats);
    master->load.all_busy += (uint64_t)json_integer_value(json_object_get(counters, "all_busy"));
    master->requests.before += (uint64_t)json_integer_value(json_object_get(last, "requests"));
    if (finds_floor(master, last, &floor) && floor != number(master->inheritance, "floor"))
        master_scale(master, floor, false);
}

static void warn(int result, const struct problem *problem)
{
    if (result)
        log_warning("after the upgrade: %s", problem->text);
}

static void take_pidfile(struct master *master)
{
    const char *path = conf_text(master->conf, SETTING_ID_PIDFILE);
    const char *former = json_string_value(json_object_get(master->inheritance->will, "pidfile"));
    struct problem problem;
    if (former && (!path || strcmp(former, path) != 0))
        pidfile_remove(former, (pid_t)number(master->inheritance, "pid"));
    if (!master->pidfile || !path)
        return;
    if (access(master->pidfile, F_OK) == 0) /* or the former one has moved it as the last thing that it did */
        warn(pidfile_move(master->pidfile, path, &problem), &problem);
    free(master->pidfile);
    master->pidfile = memory_must(strdup(path));
}

static void take_control(struct master *master)
{
    struct inheritance *inheritance = master->inheritance;
    struct listener listener = {.fd = take_fd(inheritance, HANDOVER_CONTROL),
                                .lock_fd = take_fd(inheritance, HANDOVER_CONTROL_LOCK),
                                .address = master->control.listener.address};
    struct sockaddr_un *address = (struct sockaddr_un *)&listener.address.storage;
    strcpy(address->sun_path, conf_text(master->conf, SETTING_ID_CONTROL_SOCKET));
    identity_of(inheritance, "control", &listener);
    path_lock_sign(listener.lock_fd);
    control_succeed(&master->control, &listener);
}

/* The old one's workers are orphans if it has died. */
static void take_state(struct master *master)
{
    char *path __attribute__((cleanup(memory_free_text))) =
        memory_text("%s.state", conf_text(master->conf, SETTING_ID_CONTROL_SOCKET));
    struct problem problem;
    orphans_adopt(master, path);
    warn(state_move(&master->state, path, &problem), &problem);
}

/* A pool that stops refuses connections: it was not its own before, and now nobody else takes them. */
static void take_listener(struct master *master)
{
    struct problem problem;
    if (!master->inheritance->shared)
        return;
    struct listener *listener = &listeners_current(master)->listener;
    if (master->policy.state >= POOL_STOPPING) {
        (void)!listener_refuse(listener);
        return;
    }
    if (listener->lock_fd >= 0)
        path_lock_sign(listener->lock_fd);
    warn(listen_settle(master, &problem), &problem);
}

static void succeed(struct master *master)
{
    struct inheritance *inheritance = master->inheritance;
    ev_io_stop(master->loop, &inheritance->link);
    fd_close(&inheritance->fds[HANDOVER_LINK]);
    inheritance->waits = false;
    log_info("pool %s: the former master has gone, this one takes its place", master->name);
    title_set("fcgipool: master %s", master->name);
    take_pidfile(master);
    take_state(master);
    take_listener(master);
    take_control(master);
    if (!inheritance->ready) {
        recent_stop();
        fd_close(&inheritance->complaints);
    }
    if (master->policy.state < POOL_STOPPING)
        announce_start(master);
    control_notify(&master->control);
}

static void take_message(struct master *master, const json_t *message)
{
    struct inheritance *inheritance = master->inheritance;
    if (!json_object_get(message, "ask")) {
        take_last(master, message);
    } else if (master->policy.state < POOL_STOPPING) {
        inheritance->promised = true;
        handover_send(inheritance->fds[HANDOVER_LINK], json_pack("{s:s}", "state", "takes"));
    }
}

void inherit_look(struct master *master)
{
    json_t *message;
    int result = 0;
    while (master->inheritance->waits && result == 0) {
        result = handover_receive(master->inheritance->fds[HANDOVER_LINK], &message);
        if (result == 0) {
            take_message(master, message);
            json_decref(message);
        } else if (result == -EPIPE) {
            succeed(master);
        }
    }
}

static void on_link(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop, (void)events;
    inherit_look(watcher->data);
}

void inherit_start(struct master *master)
{
    struct inheritance *inheritance = master->inheritance;
    if (!inheritance->waits)
        return;
    title_set("fcgipool: new master %s", master->name);
    log_info("pool %s: pid %ld begins as its new master, beside pid %lld", master->name, (long)getpid(),
             (long long)number(inheritance, "pid"));
    handover_send(inheritance->fds[HANDOVER_LINK], json_pack("{s:s,s:s?}", "state", "started", "pidfile",
                                                             conf_text(master->conf, SETTING_ID_PIDFILE)));
    ev_io_init(&inheritance->link, on_link, inheritance->fds[HANDOVER_LINK], EV_READ);
    inheritance->link.data = master;
    ev_io_start(master->loop, &inheritance->link);
}

void inherit_stop(struct master *master)
{
    ev_io_stop(master->loop, &master->inheritance->link);
}

/* ---- while it is there ---- */

static void say(struct inheritance *inheritance, bool *said, json_t *message)
{
    *said = true;
    handover_send(inheritance->fds[HANDOVER_LINK], message);
}

bool inherit_is_awaited(const struct master *master)
{
    const struct inheritance *inheritance = master->inheritance;
    bool leaves = json_is_true(json_object_get(inheritance->will, "leaves"));
    return inheritance->waits && !(leaves ? inheritance->settled : inheritance->ready);
}

void inherit_notify(struct master *master)
{
    struct inheritance *inheritance = master->inheritance;
    const struct policy *policy = &master->policy;
    if (!inheritance->waits)
        return;
    if (policy->state >= POOL_STOPPING && !inheritance->leaving)
        say(inheritance, &inheritance->leaving, json_pack("{s:s}", "state", "leaving"));
    if (policy->state != POOL_RUNNING || !policy_count(policy, SLOT_SERVING))
        return;
    if (!inheritance->ready)
        say(inheritance, &inheritance->ready,
            json_pack("{s:s,s:b}", "state", "ready", "shared", inheritance->shared));
    if (policy_is_settled(policy) && !inheritance->settled)
        say(inheritance, &inheritance->settled, json_pack("{s:s}", "state", "settled"));
    if (!inherit_is_awaited(master))
        fd_close(&inheritance->complaints);
}

json_t *inherit_json(const struct master *master)
{
    const struct inheritance *inheritance = master->inheritance;
    if (!inheritance->waits)
        return NULL;
    return json_pack("{s:s,s:I,s:n}", "state", "second", "pid", number(inheritance, "pid"), "reason");
}
