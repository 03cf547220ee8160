/* Who listens at an address; see holders.h. */
#include "daemon/kernel/holders.h"

#include "daemon/kernel/diag.h"
#include "daemon/kernel/proc.h"

#include <stdio.h>

#define SHOWN_MAX 8

static int is_one(pid_t pid, int fd, uint64_t inode, void *context)
{
    (void)pid, (void)fd;
    return diag_set_has(context, inode);
}

void holders_text(const struct address *address, char *ret_text, size_t size)
{
    struct diag_set set = DIAG_SET_INIT;
    struct proc_table processes = PROC_TABLE_INIT;
    size_t length = 0, count = 0;
    ret_text[0] = '\0';
    if (diag_listeners(address, &set) == 0 && set.count > 0 && proc_table_read(&processes) == 0) {
        for (size_t i = 0; i < processes.count; i++) {
            pid_t pid = processes.entries[i].pid;
            if (proc_each_socket(pid, is_one, &set) > 0 && count++ < SHOWN_MAX && length < size)
                length += (size_t)snprintf(ret_text + length, size - length, count > 1 ? ", %d" : "%d", pid);
        }
        if (count > SHOWN_MAX && length < size)
            (void)snprintf(ret_text + length, size - length, " and %zu more", count - SHOWN_MAX);
    }
    proc_table_fini(&processes);
    diag_set_fini(&set);
}
