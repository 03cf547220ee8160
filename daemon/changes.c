/* Files whose replacement reloads the pool; see changes.h. */
#include "daemon/changes.h"

#include "daemon/base/memory.h"
#include "daemon/master.h"

#include <stdlib.h>
#include <string.h>

#define LOOK_SECONDS 1.0

struct watched_file {
    char *path;        /* owned */
    struct stat found; /* st_nlink 0: nothing */
    bool changed;      /* since the last reload */
};

static struct stat look(const char *path)
{
    struct stat found;
    return stat(path, &found) == 0 ? found : (struct stat){0};
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_mode == b->st_mode && !a->st_nlink == !b->st_nlink;
}

/* True when it is as it was. */
static bool look_again(struct watched_file *file)
{
    struct stat now = look(file->path);
    bool rests = is_same(&now, &file->found);
    file->changed |= !rests;
    file->found = now;
    return rests;
}

/* One that has changed, if all that have are at rest; else NULL. */
static const struct watched_file *find_change(struct changes *changes)
{
    const struct watched_file *changed = NULL;
    bool rest = true;
    for (size_t i = 0; i < changes->count; i++) {
        struct watched_file *file = &changes->files[i];
        rest &= look_again(file);
        if (file->changed && file->found.st_nlink)
            changed = file;
    }
    return rest ? changed : NULL;
}

/* Who has paused the pool has it wait for a reload, too. */
static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct master *master = timer->data;
    struct problem problem;
    (void)loop, (void)events;
    if (master->policy.state >= POOL_STOPPING || master->policy.resting || reload_is_held_up(master))
        return;
    const struct watched_file *changed = find_change(&master->changes);
    if (!changed)
        return;
    log_info("reload: %s has changed", changed->path);
    for (size_t i = 0; i < master->changes.count; i++)
        if (master->changes.files[i].found.st_nlink)
            master->changes.files[i].changed = false;
    (void)reload(master, &problem); /* it was logged */
}

void changes_init(struct master *master)
{
    ev_timer_init(&master->changes.timer, on_look, LOOK_SECONDS, LOOK_SECONDS);
    master->changes.timer.data = master;
}

void changes_start(struct master *master)
{
    struct changes *changes = &master->changes;
    char *const *paths = conf_watched(master->live);
    changes_stop(master);
    while (paths[changes->count])
        changes->count++;
    if (!changes->count)
        return;
    changes->files = memory_must(calloc(changes->count, sizeof *changes->files));
    for (size_t i = 0; i < changes->count; i++)
        changes->files[i] =
            (struct watched_file){.path = memory_must(strdup(paths[i])), .found = look(paths[i])};
    ev_timer_again(master->loop, &changes->timer);
}

static bool is_followed(const struct changes *changes, char *const *paths)
{
    size_t i = 0;
    while (i < changes->count && paths[i] && strcmp(paths[i], changes->files[i].path) == 0)
        i++;
    return i == changes->count && !paths[i];
}

void changes_follow(struct master *master)
{
    if (!is_followed(&master->changes, conf_watched(master->live)))
        changes_start(master);
}

void changes_stop(struct master *master)
{
    struct changes *changes = &master->changes;
    ev_timer_stop(master->loop, &changes->timer);
    for (size_t i = 0; i < changes->count; i++)
        free(changes->files[i].path);
    free(changes->files);
    changes->files = NULL;
    changes->count = 0;
}
