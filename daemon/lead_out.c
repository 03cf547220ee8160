/* Leading workers out; see lead_out.h. */
#include "daemon/lead_out.h"

#include "daemon/kernel/look.h"
#include "daemon/rows.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

int lead_out_holds(pid_t group, const struct listener *listener)
{
    __attribute__((cleanup(look_fini))) struct look look = {.listener = listener};
    struct look_hold hold;
    look_once(&look);
    return look_holds(&look, group, true, &hold);
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
    rows_read(page, group, false, &view);
    enum drain_step step = drain_look(drain, &view.scan, now_ms);
    if (step == DRAIN_WAKE)
        wake(&view);
    else if (step == DRAIN_END && lead_out_holds(group, listener) == 0)
        (void)kill(-group, SIGTERM);
    return step;
}
