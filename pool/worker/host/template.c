/* Workers out of one mould; see template.h. */
#include "pool/worker/host/template.h"

#include "pool/host.h"
#include "pool/worker/hosted.h"

#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct order {
    struct fork_order head;
    int fds[FORK_ORDER_FDS];
    size_t fd_count;
    char *strings; /* in `packet` */
    size_t length;
};

static char packet[FORK_ORDER_BYTES];

/* ---- the conversation ---- */

/* Gone with the master: nobody is there to be told. */
static void answer(int socket, pid_t pid, int error)
{
    const struct fork_answer said = {.pid = pid, .error = error};
    if (send(socket, &said, sizeof said, MSG_NOSIGNAL) != (ssize_t)sizeof said)
        _exit(0);
}

static void take_fds(struct msghdr *message, struct order *order)
{
    for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head; head = CMSG_NXTHDR(message, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
            continue;
        order->fd_count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(order->fds, CMSG_DATA(head), order->fd_count * sizeof(int));
    }
}

/* Waits for it. Returns false when no more come. */
static bool receive(int socket, struct order *ret_order)
{
    union {
        char bytes[CMSG_SPACE(FORK_ORDER_FDS * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec parts[] = {{&ret_order->head, sizeof ret_order->head}, {packet, sizeof packet}};
    struct msghdr message = {.msg_iov = parts,
                             .msg_iovlen = 2,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    ssize_t got;
    do
        got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < (ssize_t)sizeof ret_order->head)
        return false;
    ret_order->fd_count = 0;
    take_fds(&message, ret_order);
    ret_order->strings = packet;
    ret_order->length = (size_t)got - sizeof ret_order->head;
    return true;
}

static void close_fds(const struct order *order)
{
    for (size_t i = 0; i < order->fd_count; i++)
        close(order->fds[i]);
}

/* ---- the worker ---- */

/* The strings stay where they are, in this process for good. */
static void take_environment(const struct order *order)
{
    size_t count = 0;
    for (size_t at = 0; at < order->length; at += strlen(order->strings + at) + 1)
        count++;
    char **variables = malloc((count + 1) * sizeof *variables);
    if (!variables)
        abort();
    count = 0;
    for (size_t at = 0; at < order->length; at += strlen(order->strings + at) + 1)
        variables[count++] = order->strings + at;
    variables[count] = NULL;
    environ = variables;
}

static void bind_to(uint32_t processor)
{
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(processor, &only);
    (void)sched_setaffinity(0, sizeof only, &only);
}

/* The library is in the template, and inert there. Of another one, or where there is none, the worker is seen
 * from outside. */
static void attach(int page_fd, int pool_fd)
{
    hosted_attach *attach = (hosted_attach *)dlsym(RTLD_DEFAULT, HOSTED_ATTACH_SYMBOL);
    if (attach)
        attach(page_fd, pool_fd);
}

static void become_worker(const struct order *order)
{
    const int *fd = order->fds;
    if (order->head.flags & FORK_ORDER_SAME_SESSION)
        setpgid(0, 0);
    else
        setsid();
    dup2(*fd, STDIN_FILENO);
    close(*fd++);
    if (order->head.flags & FORK_ORDER_OUTPUT) {
        dup2(*fd, STDOUT_FILENO);
        dup2(*fd, STDERR_FILENO);
        close(*fd++);
    }
    if (order->head.flags & FORK_ORDER_PROCESSOR)
        bind_to(order->head.processor);
    take_environment(order);
    if (order->head.flags & FORK_ORDER_PAGE)
        attach(fd[0], fd[1]);
}

/* In the process between the template and the worker. True in the worker. */
static bool fork_worker(int socket, const struct order *order)
{
    pid_t pid = fork();
    if (pid == 0) {
        close(socket);
        become_worker(order);
        return true;
    }
    answer(socket, pid > 0 ? pid : 0, pid > 0 ? 0 : errno);
    _exit(0);
}

void template_serve(int socket)
{
    struct order order;
    answer(socket, 0, 0);
    while (receive(socket, &order)) {
        fflush(NULL); /* or what the application has printed comes from each worker, too */
        pid_t pid = fork();
        if (pid == 0 && fork_worker(socket, &order))
            return;
        if (pid < 0)
            answer(socket, 0, errno);
        close_fds(&order);
        while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    _exit(0);
}
