/* Leading workers out; see lead_out.h. */
#include "daemon/lead_out.h"

#include "daemon/base/clock.h"
#include "daemon/kernel/look.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

struct group {
    pid_t leader;
    bool leader_lives;
};

/* A row tells a pid that may be anybody's, or of a process that has died and left the row behind. */
static bool is_member(int32_t pid, void *context)
{
    const struct group *group = context;
    if (pid == group->leader && group->leader_lives)
        return true;
    return pid > 0 && getpgid(pid) == group->leader && !proc_ended(pid);
}

void lead_out_read(const struct page *page, pid_t group, bool leader_lives, struct page_view *ret_view)
{
    struct group members = {.leader = group, .leader_lives = leader_lives};
    page_read(page, (uint64_t)clock_now_ns(), ret_view);
    page_view_filter(ret_view, is_member, &members);
}

bool lead_out_holds(pid_t group, const struct listener *listener)
{
    __attribute__((cleanup(look_fini))) struct look look = {.listener = listener};
    struct look_hold hold;
    look_once(&look);
    return look_holds(&look, group, true, &hold) > 0;
}

/* To those who wait for a connection, or for a request on a kept one, and to nobody else of the group. */
static void wake(const struct page_view *view)
{
    for (uint32_t i = 0; i < view->acceptor_count; i++)
        if (view->acceptors[i].waiting)
            (void)syscall(SYS_tgkill, view->acceptors[i].pid, view->acceptors[i].tid, PAGE_DRAIN_SIGNAL);
    for (uint32_t i = 0; i < view->connection_count; i++)
        if (view->connections[i].state == PAGE_KEPT)
            (void)syscall(SYS_tgkill, view->connections[i].pid, view->connections[i].tid, PAGE_DRAIN_SIGNAL);
}

enum drain_step lead_out(struct drain *drain, const struct page *page, pid_t group,
                         const struct listener *listener, int64_t now_ms)
{
    struct page_view view;
    lead_out_read(page, group, false, &view);
    enum drain_step step = drain_look(drain, &view.scan, now_ms);
    if (step == DRAIN_WAKE)
        wake(&view);
    else if (step == DRAIN_END && !lead_out_holds(group, listener))
        (void)kill(-group, SIGTERM);
    return step;
}
