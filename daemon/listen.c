/* The pool's listener; see listen.h. */
#include "daemon/listen.h"

#include "daemon/kernel/holders.h"
#include "daemon/master.h"
#include "daemon/observe.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct listener_options options_of(const struct listener *listener, const struct conf *conf)
{
    const struct settings *settings = conf_settings(conf);
    bool as_it_came = listener->foreign && !conf_given(conf, SETTING_ID_backlog);
    struct listener_options options = {
        .backlog = as_it_came ? listener->backlog : (int)settings->backlog,
        .mode = (mode_t)settings->listen_mode,
        .owner = conf_listen_owner(conf),
        .group = conf_listen_group(conf),
        .defer = settings->defer_accept,
    };
    options.clients = conf_allowed_clients(conf, &options.client_count);
    return options;
}

static int open_there(struct master *master, struct listener_options *options, struct bound *bound,
                      struct problem *problem)
{
    char pids[128];
    listener_settle(&options->address);
    options->beside = orphans_beside(&master->orphans, &options->address);
    int result = listener_open(options, &bound->listener, problem);
    if (result != -EADDRINUSE || address_path(&options->address))
        return result;
    holders_text(&options->address, pids, sizeof pids);
    struct problem reason = *problem;
    return problem_set(problem, result, "%s%s%s%s", reason.text, *pids ? "; there listens pid " : "", pids,
                       master->orphans.left ? ", workers of a former master that has died: end them and try "
                                              "again"
                                            : "");
}

/* Which address the control file has. */
static int ask(const struct master *master, struct bound *bound, struct problem *problem)
{
    int result = address_parse(conf_text(master->conf, SETTING_ID_LISTEN), &bound->asked, problem);
    if (result == 0)
        listener_settle(&bound->asked);
    return result;
}

static int open_own(struct master *master, struct bound *bound, struct problem *problem)
{
    struct listener_options options = options_of(&bound->listener, master->conf);
    int result = ask(master, bound, problem);
    options.former = orphans_listener(&master->orphans);
    options.address = bound->asked;
    return result ? result : open_there(master, &options, bound, problem);
}

/* What kind of socket was passed shows only now. */
static void warn_of_clients(const struct master *master, const struct listener *listener)
{
    if (listener->foreign && listener->address.storage.ss_family == AF_UNIX &&
        conf_given(master->conf, SETTING_ID_ALLOWED_CLIENTS))
        log_warning("allowed_clients has no effect: the socket that was passed is not a TCP socket");
}

int listen_open(struct master *master, struct problem *problem)
{
    struct bound *bound = listeners_at(&master->listeners, 0);
    if (!bound)
        bound = listeners_room(&master->listeners);
    int result = bound->listener.foreign ? listen_settle(master, problem)
                                         : inherit_listener(master, &bound->listener, problem);
    if (result > 0)
        result = open_own(master, bound, problem);
    else if (result == 0 && !bound->listener.foreign)
        result = ask(master, bound, problem);
    if (result == 0)
        warn_of_clients(master, &bound->listener);
    return result;
}

/* Whom the file names no more was the owner so far: it is ours then, as it would have been. */
static void name_owner(struct listener_options *options, const struct conf *former)
{
    if (options->owner == (uid_t)-1 && conf_listen_owner(former) != (uid_t)-1)
        options->owner = geteuid();
    if (options->group == (gid_t)-1 && conf_listen_group(former) != (gid_t)-1)
        options->group = getegid();
}

static bool is_same(const struct conf *a, const struct conf *b)
{
    static const enum setting_id ids[] = {SETTING_ID_listen_mode,  SETTING_ID_LISTEN_OWNER,
                                          SETTING_ID_LISTEN_GROUP, SETTING_ID_backlog,
                                          SETTING_ID_defer_accept, SETTING_ID_ALLOWED_CLIENTS};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        if (!conf_equal(a, b, ids[i]))
            return false;
    return true;
}

void listen_refuse(struct master *master)
{
    if (master_shares_listener(master)) {
        master_event(master, EVENT_QUEUE_EMPTY, 0, 0);
        return;
    }
    listeners_refuse(master, true);
    observe_queue(master);
}

int listen_settle(struct master *master, struct problem *problem)
{
    struct listener *listener = &listeners_current(master)->listener;
    struct listener_options options = options_of(listener, master->live);
    return listener_adjust(&options, listener, problem);
}

static int adjust(const struct master *master, struct bound *bound, const struct conf *conf,
                  struct problem *problem)
{
    struct listener_options options = options_of(&bound->listener, conf);
    struct listener_options former = options_of(&bound->listener, master->live);
    struct problem unused;
    name_owner(&options, master->live);
    int result = listener_adjust(&options, &bound->listener, problem);
    if (result) {
        name_owner(&former, conf);
        (void)!listener_adjust(&former, &bound->listener, &unused);
    }
    return result;
}

int listen_adjust(struct master *master, const struct conf *conf, struct problem *problem)
{
    return is_same(master->live, conf) ? 0 : adjust(master, listeners_current(master), conf, problem);
}

/* ---- another address ---- */

static bool is_equal(const struct address *a, const struct address *b)
{
    return a->length == b->length && a->dual_stack == b->dual_stack &&
           memcmp(&a->storage, &b->storage, a->length) == 0;
}

/* However the path is spelled. */
static bool leads_to(const struct address *address, const struct listener *listener)
{
    const char *path = address_path(address);
    struct stat found;
    return path && listener->path_inode && lstat(path, &found) == 0 && S_ISSOCK(found.st_mode) &&
           found.st_dev == listener->path_device && found.st_ino == listener->path_inode;
}

/* The listener at an address, unless it refuses connections. */
static struct bound *find(const struct master *master, const struct address *asked)
{
    for (struct bound *bound = NULL; (bound = listeners_next(&master->listeners, bound));)
        if (!bound->listener.refused_ms &&
            (is_equal(asked, &bound->asked) || is_equal(asked, &bound->listener.address) ||
             leads_to(asked, &bound->listener)))
            return bound;
    return NULL;
}

static in_port_t port_of(const struct address *address)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)&address->storage;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address->storage;
    return in->sin_family == AF_INET ? in->sin_port : in->sin_family == AF_INET6 ? in6->sin6_port : 0;
}

static bool collide(const struct address *a, const struct address *b)
{
    return is_equal(a, b) || (port_of(a) && port_of(a) == port_of(b));
}

/* When it is the pool itself that has the address. */
static int explain(const struct master *master, const struct address *asked, int error,
                   struct problem *problem)
{
    char text[ADDRESS_TEXT_SIZE], own[ADDRESS_TEXT_SIZE];
    for (const struct bound *bound = NULL; (bound = listeners_next(&master->listeners, bound));) {
        const struct address *address = &bound->listener.address;
        if (error != -EADDRINUSE || !collide(asked, address))
            continue;
        address_format(asked, text, sizeof text);
        address_format(address, own, sizeof own);
        if (bound->listener.refused_ms)
            return problem_set(
                problem, error,
                "%s is still being left: connections wait there; try again when they are served", own);
        return problem_set(
            problem, error,
            "%s cannot be had beside %s, where the pool listens: it takes a restart, or another "
            "port",
            text, own);
    }
    return error;
}

static int open_another(struct master *master, const struct conf *conf, const struct address *asked,
                        uint64_t *ret_place, struct problem *problem)
{
    struct bound *bound = listeners_room(&master->listeners);
    if (!bound)
        return problem_set(problem, -EBUSY, "the pool is about to leave %d addresses already; wait for that",
                           LISTENERS_MAX - 1);
    struct listener_options options = options_of(&bound->listener, conf);
    options.address = *asked;
    options.beside = orphans_beside(&master->orphans, asked);
    int result = listener_open(&options, &bound->listener, problem);
    if (result)
        return explain(master, asked, result, problem);
    bound->place = *ret_place = master->policy.generations + 1;
    bound->asked = *asked;
    bound->empty_looks = 0;
    bound->drained = false;
    load_watch(master, &bound->listener);
    listeners_record(master);
    return 0;
}

int listen_prepare(struct master *master, const struct conf *conf, uint64_t *ret_place,
                   struct problem *problem)
{
    struct bound *current = listeners_current(master), *bound = current;
    struct problem unused;
    struct address asked;
    bool is_address = address_parse(conf_text(conf, SETTING_ID_LISTEN), &asked, &unused) == 0;
    if (is_address && current->asked.length) {
        listener_settle(&asked);
        bound = find(master, &asked);
    } else if (!conf_equal(master->conf, conf, SETTING_ID_LISTEN)) {
        log_warning("reload: listen has changed, which needs a restart or an upgrade; it stays as it was");
    }
    if (!bound)
        return open_another(master, conf, &asked, ret_place, problem);
    *ret_place = bound->place;
    return bound == current && is_same(master->live, conf) ? 0 : adjust(master, bound, conf, problem);
}
