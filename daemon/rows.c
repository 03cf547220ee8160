/* The rows of the living; see rows.h. */
#include "daemon/rows.h"

#include "daemon/base/clock.h"
#include "daemon/kernel/proc.h"

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

void rows_read(const struct page *page, pid_t group, bool leader_lives, struct page_view *ret_view)
{
    struct group members = {.leader = group, .leader_lives = leader_lives};
    page_read(page, (uint64_t)clock_now_ns(), ret_view);
    page_view_filter(ret_view, is_member, &members);
}
