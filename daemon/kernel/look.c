/* One look at the machine; see look.h. */
#include "daemon/kernel/look.h"

#include <errno.h>

void look_fini(struct look *look)
{
    proc_table_fini(&look->processes);
    diag_set_fini(&look->accepted);
}

void look_at_processes(struct look *look)
{
    look->failure = proc_table_read(&look->processes);
}

void look_at_connections(struct look *look)
{
    if (look->failure == 0)
        look->failure = diag_accepted(&look->listener->address, &look->accepted);
}

struct search {
    const struct look *look;
    bool exact;
    uint64_t found;
};

/* Returns 1 for an accepted connection, 0 for another socket, or -errno. */
static int see_socket(uint64_t inode, void *context)
{
    struct search *search = context;
    const struct listener *listener = search->look->listener;
    bool accepted = false;
    if (inode == listener->inode)
        return 0;
    if (diag_set_has(&search->look->accepted, inode)) {
        accepted = true;
    } else if (search->exact && listener->address.storage.ss_family == AF_UNIX) {
        int error = diag_unix_accepted(&listener->address, inode, &accepted);
        if (error != 0 && error != -ENOENT)
            return error;
    }
    search->found = inode;
    return accepted;
}

int look_holds(const struct look *look, pid_t group, bool exact, uint64_t *ret_inode)
{
    struct search search = {.look = look, .exact = exact};
    const struct proc_entry *members;
    size_t count = proc_table_group(&look->processes, group, &members);
    if (look->failure != 0)
        return look->failure;
    int result = count == 0 ? -EACCES : 0;
    for (size_t i = 0; i < count && result == 0; i++)
        result = proc_each_socket(members[i].pid, see_socket, &search);
    if (result > 0)
        *ret_inode = search.found;
    return result;
}
