/* Memory of process groups; see memory.h. */
#include "daemon/kernel/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Of one process: 0, -ESRCH when it has gone, or another -errno. */
typedef int memory_fn(pid_t pid, uint64_t *ret_bytes);

static int resident(pid_t pid, uint64_t *ret_bytes)
{
    char text[128];
    uint64_t pages;
    int error = proc_text(pid, "statm", text, sizeof text);
    if (error != 0)
        return error;
    if (sscanf(text, "%*u %" SCNu64, &pages) != 1)
        return -EPROTO;
    *ret_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return 0;
}

/* A zombie's file is empty or cannot be read. */
static int proportional(pid_t pid, uint64_t *ret_bytes)
{
    char text[2048];
    uint64_t kilobytes;
    int error = proc_text(pid, "smaps_rollup", text, sizeof text);
    if (error == -ESRCH && access("/proc/self/smaps_rollup", F_OK) != 0)
        return -ENOSYS;
    if (error != 0)
        return error == -EACCES && proc_ended(pid) ? -ESRCH : error;
    const char *line = strstr(text, "\nPss:");
    if (line == NULL || sscanf(line, " Pss: %" SCNu64, &kilobytes) != 1)
        return -ESRCH;
    *ret_bytes = kilobytes * 1024;
    return 0;
}

static int sum(const struct proc_table *table, pid_t group, memory_fn *of_one, uint64_t *ret_bytes)
{
    const struct proc_entry *member;
    uint64_t total = 0, bytes;
    bool any = false;
    for (size_t left = proc_table_group(table, group, &member); left > 0; left--, member++) {
        int error = of_one(member->pid, &bytes);
        if (error == -ESRCH)
            continue;
        if (error != 0)
            return error;
        total += bytes;
        any = true;
    }
    if (!any)
        return -ESRCH;
    *ret_bytes = total;
    return 0;
}

int memory_resident(const struct proc_table *table, pid_t group, uint64_t *ret_bytes)
{
    return sum(table, group, resident, ret_bytes);
}

int memory_proportional(const struct proc_table *table, pid_t group, uint64_t *ret_bytes)
{
    return sum(table, group, proportional, ret_bytes);
}
