/* The pool's listener; see listen.h. */
#include "daemon/listen.h"

#include "daemon/kernel/holders.h"
#include "daemon/master.h"
#include "daemon/observe.h"

#include <errno.h>
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

static int open_there(struct master *master, struct listener_options *options, struct problem *problem)
{
    char pids[128];
    listener_settle(&options->address);
    options->beside = orphans_beside(&master->orphans, &options->address);
    int result = listener_open(options, &master->listener, problem);
    if (result != -EADDRINUSE || address_path(&options->address))
        return result;
    holders_text(&options->address, pids, sizeof pids);
    struct problem reason = *problem;
    return problem_set(problem, result, "%s%s%s%s", reason.text, *pids ? "; there listens pid " : "", pids,
                       master->orphans.left ? ", workers of a former master that has died: end them and try "
                                              "again"
                                            : "");
}

static int open_own(struct master *master, struct problem *problem)
{
    struct listener_options options = options_of(&master->listener, master->conf);
    options.former = orphans_listener(&master->orphans);
    int result = address_parse(conf_text(master->conf, SETTING_ID_LISTEN), &options.address, problem);
    return result ? result : open_there(master, &options, problem);
}

/* What kind of socket was passed shows only now. */
static void warn_of_clients(const struct master *master)
{
    if (master->listener.foreign && master->listener.address.storage.ss_family == AF_UNIX &&
        conf_given(master->conf, SETTING_ID_ALLOWED_CLIENTS))
        log_warning("allowed_clients has no effect: the socket that was passed is not a TCP socket");
}

int listen_open(struct master *master, struct problem *problem)
{
    int result =
        master->listener.foreign ? listen_settle(master, problem) : inherit_listener(master, problem);
    if (result > 0)
        result = open_own(master, problem);
    if (result == 0)
        warn_of_clients(master);
    if (result == 0)
        address_format(&master->listener.address, master->address, sizeof master->address);
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
    if (inherit_shares(master) || master->listener.foreign) {
        master_event(master, EVENT_QUEUE_EMPTY, 0, 0);
        return;
    }
    int result = listener_refuse(&master->listener);
    if (result)
        log_warning("new connections cannot be refused (%s): the stop may take until graceful_timeout",
                    strerror(-result));
    observe_queue(master);
}

int listen_settle(struct master *master, struct problem *problem)
{
    struct listener_options options = options_of(&master->listener, master->live);
    return listener_adjust(&options, &master->listener, problem);
}

int listen_adjust(struct master *master, const struct conf *conf, struct problem *problem)
{
    if (is_same(master->live, conf))
        return 0;
    struct listener_options options = options_of(&master->listener, conf);
    struct listener_options former = options_of(&master->listener, master->live);
    struct problem unused;
    name_owner(&options, master->live);
    int result = listener_adjust(&options, &master->listener, problem);
    if (result) {
        name_owner(&former, conf);
        (void)!listener_adjust(&former, &master->listener, &unused);
    }
    return result;
}
