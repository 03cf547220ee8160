/*
 * Finding the workers of former masters: by what the state file says, and by who holds the sockets that it
 * names. Nothing is believed that cannot be checked: pids by their start times, sockets by their cookies.
 */
#include "daemon/orphans.h"

#include "daemon/base/log.h"
#include "daemon/base/memory.h"
#include "daemon/kernel/adopt.h"
#include "daemon/kernel/diag.h"
#include "daemon/kernel/proc.h"

#include <string.h>
#include <unistd.h>

/* ---- sockets ---- */

/* The socket of a record; false: the file does not name it. */
static bool former_of(const struct orphans *orphans, const struct state_record *record, size_t *ret_former)
{
    for (size_t i = 0; i < orphans->former_count; i++) {
        if (orphans->formers[i].inode == record->inode && orphans->formers[i].cookie == record->cookie) {
            *ret_former = i;
            return true;
        }
    }
    return false;
}

/* ---- processes ---- */

/* A process that has one of the sockets. */
struct holder {
    pid_t pid, group;
    size_t former;
};

struct search {
    struct orphans *orphans;
    const struct state_former *state; /* NULL: there is none */
    struct proc_table processes;
    struct holder *holders; /* owned */
    size_t count;
    pid_t group; /* of the process that is being looked at */
};

static void search_fini(struct search *search)
{
    proc_table_fini(&search->processes);
    free(search->holders);
}

/* Notes who has a former socket, and takes it over from the first who does. */
static int see_socket(pid_t pid, int fd, uint64_t inode, void *context)
{
    struct search *search = context;
    struct orphans *orphans = search->orphans;
    size_t i = 0;
    while (i < orphans->former_count && orphans->formers[i].inode != inode)
        i++;
    if (i == orphans->former_count)
        return 0;
    struct listener *former = &orphans->formers[i];
    if (former->fd < 0 && former->cookie)
        former->fd = adopt_listener(pid, fd, former->cookie);
    else if (former->fd < 0)
        former->fd = adopt_listener_of_ours(pid, fd, &former->cookie);
    search->holders = memory_must(reallocarray(search->holders, search->count + 1, sizeof(struct holder)));
    search->holders[search->count++] = (struct holder){.pid = pid, .group = search->group, .former = i};
    return 1;
}

/* A process that cannot be looked into holds nothing that we could know of. */
static void find_holders(struct search *search)
{
    if (proc_table_read(&search->processes) != 0)
        return;
    for (size_t i = 0; i < search->processes.count; i++) {
        const struct proc_entry *process = &search->processes.entries[i];
        search->group = process->group;
        if (process->pid != getpid())
            (void)!proc_each_socket(process->pid, see_socket, search);
    }
}

static struct orphan *find(const struct orphans *orphans, pid_t group)
{
    for (size_t i = 0; i < orphans->count; i++)
        if (orphans->items[i].retirement.group == group)
            return &orphans->items[i];
    return NULL;
}

static struct orphan *add(struct orphans *orphans, pid_t group, uint64_t start, size_t former)
{
    struct orphan *orphan = find(orphans, group);
    if (orphan)
        return orphan;
    if (orphans->count == orphans->capacity) {
        orphans->capacity = orphans->capacity ? 2 * orphans->capacity : 64;
        orphans->items = memory_must(reallocarray(orphans->items, orphans->capacity, sizeof *orphans->items));
    }
    orphan = &orphans->items[orphans->count++];
    *orphan = (struct orphan){
        .start = start, .former = former, .retirement = {.group = group, .headless = start == 0}};
    orphans->left++;
    return orphan;
}

static void add_headless(struct orphans *orphans, const struct holder *holder)
{
    uint64_t start;
    if (proc_start(holder->pid, &start) != 0)
        return;
    struct orphan *orphan = add(orphans, holder->group, 0, holder->former);
    orphan->witness = holder->pid;
    orphan->witness_start = start;
}

static bool is_alive(pid_t pid, uint64_t start)
{
    uint64_t found;
    return proc_start(pid, &found) == 0 && found == start && !proc_ended(pid);
}

static void add_recorded(struct orphans *orphans, const struct state_former *state)
{
    for (size_t i = 0; i < state->count; i++) {
        const struct state_record *record = &state->records[i];
        size_t former;
        if (is_alive(record->pid, record->start) && getpgid(record->pid) == record->pid &&
            former_of(orphans, record, &former))
            (void)add(orphans, record->pid, record->start, former);
    }
}

static bool holds(const struct search *search, pid_t pid)
{
    for (size_t i = 0; i < search->count; i++)
        if (search->holders[i].pid == pid)
            return true;
    return false;
}

/* A foreign socket is also held by who keeps it, and perhaps by other users of it: of those who are not
 * recorded only the rest of a group is ours whose leader was. */
static bool may_be_ours(const struct search *search, const struct holder *holder)
{
    const struct state_former *state = search->state;
    if (!search->orphans->formers[holder->former].foreign)
        return true;
    for (size_t i = 0; i < state->count; i++)
        if (state->records[i].pid == holder->group && proc_ended(holder->group))
            return true;
    return false;
}

/* Who holds the socket and is not recorded: a child that had left its worker's process group or outlived the
 * worker, or a worker that was started the moment before its master died. A group is ours to end if its
 * leader has the socket too, or has ended. */
static void add_strays(const struct search *search)
{
    for (size_t i = 0; i < search->count; i++) {
        const struct holder *holder = &search->holders[i];
        uint64_t start = 0;
        if (holder->group <= 1 || holder->group == getpgrp() || holder->pid == getppid())
            continue; /* a supervisor's */
        if (find(search->orphans, holder->group) || !may_be_ours(search, holder) ||
            !listener_exists(&search->orphans->formers[holder->former]))
            continue;
        if (proc_ended(holder->group))
            add_headless(search->orphans, holder);
        else if (holds(search, holder->group) && proc_start(holder->group, &start) == 0)
            (void)add(search->orphans, holder->group, start, holder->former);
        else
            log_warning(
                "pid %ld holds the listening socket of a former master and is left alone: its process "
                "group %ld is not ours",
                (long)holder->pid, (long)holder->group);
    }
}

/* Reads the file, and takes the sockets from it. */
static int read_state(struct orphans *orphans, const char *path, struct state_former *state,
                      struct problem *problem)
{
    int result = state_read(path, state, problem);
    if (result)
        return result;
    if (state->garbage)
        log_warning("the state file %s of a former master is damaged: not all of its workers may be found",
                    path);
    orphans->formers = state->sockets;
    orphans->former_count = state->socket_count;
    state->sockets = NULL;
    return 0;
}

int orphans_find(struct orphans *orphans, const char *path, struct problem *problem)
{
    __attribute__((cleanup(state_former_fini))) struct state_former state = STATE_FORMER_INIT;
    __attribute__((cleanup(search_fini))) struct search search = {.orphans = orphans, .state = &state};
    int result = read_state(orphans, path, &state, problem);
    if (result || !orphans->former_count)
        return result;
    find_holders(&search);
    add_recorded(orphans, &state);
    add_strays(&search);
    return 0;
}

int orphans_find_recorded(struct orphans *orphans, const char *path, struct problem *problem)
{
    __attribute__((cleanup(state_former_fini))) struct state_former state = STATE_FORMER_INIT;
    int result = read_state(orphans, path, &state, problem);
    if (result == 0)
        add_recorded(orphans, &state);
    return result;
}

void orphans_find_by_name(struct orphans *orphans, const struct listener *listener)
{
    struct diag_set set = DIAG_SET_INIT;
    __attribute__((cleanup(search_fini))) struct search search = {.orphans = orphans};
    if (orphans->former_count || !listener->lock_was_left || diag_listeners(&listener->address, &set) != 0)
        return;
    orphans->formers = memory_must(malloc((set.count + 1) * sizeof *orphans->formers));
    for (size_t i = 0; i < set.count; i++) {
        struct listener *former = &orphans->formers[orphans->former_count];
        *former = (struct listener)LISTENER_INIT;
        former->address = listener->address;
        former->inode = set.inodes[i];
        orphans->former_count += former->inode != listener->inode;
    }
    diag_set_fini(&set);
    if (orphans->former_count) {
        find_holders(&search);
        add_strays(&search);
    }
}

unsigned orphans_beside(const struct orphans *orphans, const struct address *address)
{
    char text[ADDRESS_TEXT_SIZE], former_text[ADDRESS_TEXT_SIZE];
    unsigned count = 0;
    address_format(address, text, sizeof text);
    for (size_t i = 0; i < orphans->former_count && orphans->left > 0; i++) {
        const struct listener *former = &orphans->formers[i];
        address_format(&former->address, former_text, sizeof former_text);
        count += former->fd < 0 && former->address.storage.ss_family != AF_UNIX &&
                 strcmp(text, former_text) == 0 && listener_exists(former);
    }
    return count;
}
