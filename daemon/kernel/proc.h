/*
 * What /proc tells about processes: members of process groups, states, current system calls, sockets.
 * A process that goes away while it is read is no error. -EACCES: /proc does not let us look (another user's
 * or a non-dumpable process, or a kernel without the file).
 */
#ifndef FCGIPOOL_DAEMON_KERNEL_PROC_H
#define FCGIPOOL_DAEMON_KERNEL_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct proc_entry {
    pid_t pid;
    pid_t group;
};

/* All processes at one moment, sorted by group. Storage is kept from one read to the next. One pass over
 * /proc, for /proc/PID/task/TID/children is an option of the kernel. */
struct proc_table {
    struct proc_entry *entries; /* owned */
    size_t count;
    size_t capacity;
};

#define PROC_TABLE_INIT                                                                                      \
    {                                                                                                        \
        0                                                                                                    \
    }

/* Returns 0 or -errno, and then the table is empty. */
__attribute__((warn_unused_result)) int proc_table_read(struct proc_table *table);

/* The members of a process group, zombies included: their number, and the first of them. */
size_t proc_table_group(const struct proc_table *table, pid_t group, const struct proc_entry **ret_first);

/* Accepts an empty table. */
void proc_table_fini(struct proc_table *table);

enum proc_state {
    PROC_ENDED,   /* no such process, or every thread has ended (a zombie) */
    PROC_STOPPED, /* every thread that has not ended is stopped */
    PROC_RUNNING, /* anything else, sleeping included */
};

/* Looks at every thread. Returns 0 or -errno. */
__attribute__((warn_unused_result)) int proc_state(pid_t pid, enum proc_state *ret_state);

/* True when the process is gone or a zombie. Cheaper than proc_state for one that lives. */
bool proc_ended(pid_t pid);

/* When the process was started, in clock ticks since the boot: with the pid, who it is. Returns 0, -ESRCH or
 * -EACCES. */
__attribute__((warn_unused_result)) int proc_start(pid_t pid, uint64_t *ret_ticks);

/* A file of /proc/PID (`name`: "statm") as a string, cut when `size` is too small. Returns 0, -ESRCH (gone,
 * or this kernel has no such file) or another -errno. */
__attribute__((warn_unused_result)) int proc_text(pid_t pid, const char *name, char *ret_text, size_t size);

/* The number of threads; 0 when the process is gone or hidden. */
unsigned proc_threads(pid_t pid);

/* Walks the children of a process, zombies left out. Returns what `each` returned last, 0, or -errno. */
typedef int proc_child_fn(pid_t pid, void *context);
__attribute__((warn_unused_result)) int proc_each_child(pid_t parent, proc_child_fn *each, void *context);

/* Where a thread is inside the kernel. */
struct proc_call {
    long number;    /* SYS_...; -1 when it runs, or sleeps outside of a system call */
    uint64_t first; /* the first argument */
};

/* Returns 0, -ESRCH when the thread is gone, or -EACCES. */
__attribute__((warn_unused_result)) int proc_thread_call(pid_t pid, pid_t thread, struct proc_call *ret_call);

/* Called with the id of a thread, or a descriptor and the inode of its socket; anything but 0 ends the walk.
 */
typedef int proc_thread_fn(pid_t pid, pid_t thread, void *context);
typedef int proc_socket_fn(pid_t pid, int fd, uint64_t inode, void *context);

/* Walks the threads. Returns what `each` returned last, 0 (also when the process is gone), or -errno. */
__attribute__((warn_unused_result)) int proc_each_thread(pid_t pid, proc_thread_fn *each, void *context);

/* Walks the open sockets, in the order of their descriptors. A process whose main thread has ended is read
 * through its other threads, and then a socket may come more than once. Returns as proc_each_thread does. */
__attribute__((warn_unused_result)) int proc_each_socket(pid_t pid, proc_socket_fn *each, void *context);

/* The socket behind one descriptor of a thread. Returns 0, -ENOTSOCK, -ESRCH (no such descriptor, or the
 * thread is gone) or -EACCES. */
__attribute__((warn_unused_result)) int proc_socket(pid_t pid, pid_t thread, uint64_t fd,
                                                    uint64_t *ret_inode);

#endif
