/* Workers out of one mould; see template.h. */
#include "pool/worker/host/template.h"

#include "pool/host.h"
#include "pool/worker/host/buffer.h"
#include "pool/worker/hosted.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct order {
    struct fork_order head;
    int fds[FORK_ORDER_FDS];
    size_t fd_count;
    size_t length; /* of the strings */
};

static char strings[FORK_ORDER_BYTES];

/* The environment as the master gave it to the template. */
static char **given;

void template_init(int socket)
{
    size_t count = 0;
    pid_t master = getppid();
    /* Or one that hangs in the application would stay when the master dies. Who is forked does not inherit
     * it. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != master)
        _exit(0);
    (void)fcntl(socket, F_SETFD, FD_CLOEXEC);
    while (environ[count])
        count++;
    given = (char **)buffer_must(malloc((count + 1) * sizeof *given));
    memcpy(given, environ, (count + 1) * sizeof *given);
}

/* ---- the conversation ---- */

static bool answer(int socket, const struct fork_answer *said)
{
    return send(socket, said, sizeof *said, MSG_NOSIGNAL) == (ssize_t)sizeof *said;
}

static void take_fds(struct msghdr *message, struct order *order)
{
    order->fd_count = 0;
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
    struct iovec parts[] = {{&ret_order->head, sizeof ret_order->head}, {strings, sizeof strings}};
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
    take_fds(&message, ret_order);
    ret_order->length = (size_t)got - sizeof ret_order->head;
    return true;
}

/* Fewer come where the template may have no more. */
static bool has_all_fds(const struct order *order)
{
    uint32_t flags = order->head.flags;
    return order->fd_count ==
           1U + (flags & FORK_ORDER_OUTPUT ? 1U : 0U) + (flags & FORK_ORDER_PAGE ? 2U : 0U);
}

static void close_fds(const struct order *order)
{
    for (size_t i = 0; i < order->fd_count; i++)
        close(order->fds[i]);
}

/* ---- the worker ---- */

static bool was_given(const char *string)
{
    for (char *const *at = given; *at; at++)
        if (strcmp(*at, string) == 0)
            return true;
    return false;
}

/* What differs from the template's: the rest is there, as the application has left it. The strings stay where
 * they are, in this process for good. */
static void take_environment(const struct order *order)
{
    for (size_t at = 0; at < order->length; at += strlen(strings + at) + 1)
        if (!was_given(strings + at))
            (void)putenv(strings + at);
}

static void bind_to(uint32_t processor)
{
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(processor, &only);
    (void)sched_setaffinity(0, sizeof only, &only);
}

/* The library is in the template, and inert there. Where there is none the worker is seen from outside. */
static void attach_to(int page_fd, int pool_fd)
{
    hosted_attach *attach = (hosted_attach *)dlsym(RTLD_DEFAULT, HOSTED_ATTACH_SYMBOL);
    if (attach)
        attach(page_fd, pool_fd);
}

static void move_fd(int from, int to)
{
    if (from != to)
        dup2(from, to);
    else
        (void)fcntl(to, F_SETFD, 0);
}

static void set_up(const struct order *order)
{
    const int *fd = order->fds;
    move_fd(*fd++, STDIN_FILENO);
    if (order->head.flags & FORK_ORDER_OUTPUT) {
        move_fd(*fd, STDOUT_FILENO);
        move_fd(*fd++, STDERR_FILENO);
    }
    for (const int *moved = order->fds; moved < fd; moved++)
        if (*moved > STDERR_FILENO)
            close(*moved);
    if (order->head.flags & FORK_ORDER_PROCESSOR)
        bind_to(order->head.processor);
    take_environment(order);
    if (order->head.flags & FORK_ORDER_PAGE)
        attach_to(fd[0], fd[1]);
}

static ssize_t hear(int fd, void *ret_bytes, size_t size)
{
    ssize_t got;
    do
        got = recv(fd, ret_bytes, size, 0);
    while (got < 0 && errno == EINTR);
    return got;
}

/* Tells the template, and waits until the master has said yes: who is not known to it would serve for ever.
 */
static void introduce(const struct order *order, int link)
{
    struct fork_answer self = {.pid = getpid()};
    char heard;
    if ((order->head.flags & FORK_ORDER_SAME_SESSION ? setpgid(0, 0) : setsid()) < 0)
        self = (struct fork_answer){.error = errno};
    if (!answer(link, &self) || self.error || hear(link, &heard, 1) != 1)
        _exit(0);
    close(link);
}

/* ---- the template ---- */

/* In the process between the template and the worker. Returns in the worker. */
static void fork_again(const struct order *order, int socket, const int link[2])
{
    pid_t pid = fork();
    if (pid < 0)
        (void)answer(link[1], &(struct fork_answer){.error = errno});
    if (pid != 0)
        _exit(0);
    close(socket);
    close(link[0]);
    introduce(order, link[1]);
    set_up(order);
}

/* What the worker says of itself, once it is nobody's child here. */
static struct fork_answer hear_worker(pid_t between, int link)
{
    struct fork_answer said;
    if (hear(link, &said, sizeof said) != (ssize_t)sizeof said)
        said = (struct fork_answer){.error = ECHILD};
    while (waitpid(between, NULL, 0) < 0 && errno == EINTR)
        ;
    return said;
}

/* Returns true in the worker. */
static bool fork_worker(const struct order *order, int socket)
{
    int link[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link) != 0) {
        (void)answer(socket, &(struct fork_answer){.serial = order->head.serial, .error = errno});
        return false;
    }
    pid_t between = fork();
    if (between == 0) {
        fork_again(order, socket, link);
        return true;
    }
    struct fork_answer said = {.error = errno};
    close(link[1]);
    if (between > 0)
        said = hear_worker(between, link[0]);
    said.serial = order->head.serial;
    char yes = 0;
    if (answer(socket, &said) && said.pid && hear(socket, &yes, 1) == 1 && yes)
        (void)send(link[0], &yes, 1, MSG_NOSIGNAL);
    close(link[0]);
    return false;
}

void template_serve(int socket)
{
    struct order order;
    /* Or what the application has printed would come from each worker, too. */
    fflush(NULL);
    bool heard = answer(socket, &(struct fork_answer){.pid = FORK_VERSION});
    while (heard && receive(socket, &order)) {
        fflush(NULL);
        if (!has_all_fds(&order))
            heard = answer(socket, &(struct fork_answer){.serial = order.head.serial, .error = EMFILE});
        else if (fork_worker(&order, socket))
            return;
        close_fds(&order);
    }
    _exit(0);
}
