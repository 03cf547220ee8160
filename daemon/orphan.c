/* One worker of a former master; see orphan.h. */
#include "daemon/orphan.h"

#include "daemon/base/fd.h"
#include "daemon/base/log.h"
#include "daemon/kernel/remote.h"
#include "daemon/lead_out.h"
#include "daemon/pages.h"

#include <sched.h>
#include <signal.h>
#include <unistd.h>

/* ---- whether it is there ---- */

static bool is_process(pid_t pid, uint64_t start)
{
    uint64_t found;
    return proc_start(pid, &found) == 0 && found == start;
}

bool orphan_is_still(const struct orphan *orphan)
{
    pid_t group = orphan->retirement.group;
    uint64_t found;
    if (orphan->start == 0)
        return is_process(orphan->witness, orphan->witness_start) && getpgid(orphan->witness) == group;
    return proc_start(group, &found) != 0 || found == orphan->start;
}

static int is_inode(pid_t pid, int fd, uint64_t inode, void *context)
{
    (void)pid, (void)fd;
    return inode == *(const uint64_t *)context;
}

/* Of a group without its leader, when the member by which it was known has gone. */
static void find_witness(struct orphan *orphan, const struct proc_entry *members, size_t count,
                         const struct listener *former)
{
    uint64_t inode = former->inode;
    for (size_t i = 0; i < count; i++) {
        if (proc_each_socket(members[i].pid, is_inode, &inode) > 0 &&
            proc_start(members[i].pid, &orphan->witness_start) == 0) {
            orphan->witness = members[i].pid;
            return;
        }
    }
}

bool orphan_lives(struct orphan *orphan, const struct proc_table *table, const struct listener *former)
{
    const struct proc_entry *members;
    size_t count = proc_table_group(table, orphan->retirement.group, &members);
    bool living = false;
    for (size_t i = 0; i < count && !living; i++)
        living = !proc_ended(members[i].pid);
    if (living && orphan->start == 0 && !orphan_is_still(orphan))
        find_witness(orphan, members, count, former);
    return living && orphan_is_still(orphan);
}

void orphan_run(const struct orphan *orphan)
{
    cpu_set_t theirs, ours;
    /* On another processor than ours we could not watch it (see retire). */
    if (orphan->start && sched_getaffinity(orphan->retirement.group, sizeof theirs, &theirs) == 0 &&
        CPU_COUNT(&theirs) == 1 && sched_getaffinity(0, sizeof ours, &ours) == 0)
        (void)sched_setaffinity(orphan->retirement.group, sizeof ours, &ours);
    if (orphan_is_still(orphan))
        (void)kill(-orphan->retirement.group, SIGCONT);
}

/* ---- leading it out ---- */

bool orphan_has_lost_leader(struct orphan *orphan)
{
    bool before = orphan->leaderless;
    orphan->leaderless = before || proc_ended(orphan->retirement.group);
    return orphan->leaderless && !before;
}

/* One without a leader is known by who holds the socket, which nobody does any more who drains. */
static void seek_page(struct orphan *orphan)
{
    if (!orphan->page_sought && orphan->start)
        (void)!remote_find(orphan->retirement.group, PAGES_NAME, PAGE_BYTES, &orphan->page);
    orphan->page_sought = true;
}

/* A copy of its page, if that is one as ours are, of a worker that accepts from the socket. What changes
 * meanwhile may be copied half: each word by itself is whole, which is all that a drain goes by. */
static bool read_page(int memory, uint64_t address, const struct listener *former, struct page *ret_page)
{
    struct page_scan scan;
    if (remote_read(memory, address, ret_page, sizeof *ret_page) != 0)
        return false;
    page_scan(ret_page, 0, &scan);
    return scan.valid && scan.accepted_pid != 0 && ret_page->about.listener_inode == former->inode;
}

/* Who waits is looked at the next time, so that nobody is signalled who could not know of it. */
static bool tell(int memory, const struct orphan *orphan)
{
    const uint32_t drain = 1;
    return remote_write(memory, orphan->page + offsetof(struct page, orders.drain), &drain, sizeof drain) ==
           0;
}

bool orphan_drain(struct orphan *orphan, const struct listener *former, int64_t now_ms)
{
    struct page page;
    seek_page(orphan);
    if (!orphan->page || orphan->drain.given_up || orphan->retirement.phase == RETIREMENT_HALT)
        return false;
    __attribute__((cleanup(fd_close))) int memory = remote_open(orphan->retirement.group);
    if (memory < 0 || !read_page(memory, orphan->page, former, &page))
        return false;
    bool told_before = page.orders.drain;
    orphan->told = told_before || tell(memory, orphan);
    orphan->retirement.headless = orphan->told; /* its leader may leave before the others */
    if (!orphan->told || !told_before)
        return orphan->told;
    if (lead_out(&orphan->drain, &page, orphan->retirement.group, former, now_ms) != DRAIN_GIVE_UP)
        return true;
    log_info("worker pid %ld of a former master does not leave by itself: it is watched from outside",
             (long)orphan->retirement.group);
    return false;
}
