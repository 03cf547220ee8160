/* Templates; see template.h. */
#include "daemon/template.h"

#include "daemon/base/fd.h"
#include "daemon/base/memory.h"
#include "daemon/deal.h"
#include "daemon/master.h"
#include "daemon/reap.h"
#include "daemon/recent.h"
#include "daemon/start.h"
#include "pool/host.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct template_process {
    pid_t pid; /* 0: it has ended, or never began */
    int fd;    /* the conversation; see pool/host.h */
    bool loaded;
    bool ordered; /* its answer is due */
    bool deaf;    /* it has closed the conversation, and will end */
    bool killed;
    bool useful; /* has forked a worker */
    uint64_t generation;
    struct output *output; /* owned; NULL: ours */
    struct master *master;
    ev_io watcher;
};

static struct template_process *find(const struct master *master, uint64_t generation)
{
    for (size_t i = 0; i < master->versions.count; i++)
        if (master->versions.items[i].generation == generation)
            return master->versions.items[i].template;
    return NULL;
}

/* A child of ours that leads its group, and is nobody whom we know otherwise. The pid comes from a process
 * that has less rights than we, perhaps. */
static bool may_be_worker(const struct master *master, pid_t pid)
{
    siginfo_t info;
    if (pid <= 1 || pid == master->upgrade.pid || getpgid(pid) != pid ||
        waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0)
        return false;
    for (uint32_t i = 0; i < master->policy.slot_count; i++)
        if (master->workers[i].pid == pid)
            return false;
    for (size_t i = 0; i < master->versions.count; i++)
        if (master->versions.items[i].template && master->versions.items[i].template->pid == pid)
            return false;
    return true;
}

void template_free(struct template_process *template)
{
    if (!template)
        return;
    ev_io_stop(template->master->loop, &template->watcher);
    if (template->pid)
        (void)kill(-template->pid, SIGKILL);
    output_stop(template->output, template->master->loop);
    fd_close(&template->fd);
    free(template);
}

/* ---- its start ---- */

/* Returns false when it is of another version than ours. */
static bool has_loaded(struct template_process *template, const struct fork_answer *answer)
{
    if (answer->error || answer->pid != FORK_VERSION)
        return false;
    template->loaded = true;
    output_read(template->output);
    log_info("template pid %ld has loaded the application", (long)template->pid);
    return true;
}

/* To whom it has forked: to go on, or to end. When it cannot be told the worker ends, too. */
static void let_go(const struct template_process *template, bool on)
{
    const char verdict = on;
    (void)!send(template->fd, &verdict, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* It has forked, or not. The policy may react so that the template goes. */
static void hear(struct template_process *template, struct fork_answer *answer)
{
    struct master *master = template->master;
    uint64_t generation = template->generation;
    template->ordered = false;
    if (!answer->error && !may_be_worker(master, answer->pid)) {
        let_go(template, false);
        answer->error = ESRCH;
    } else if (!answer->error) {
        template->useful = true;
        let_go(template, start_forked(master, answer));
    }
    if (answer->error)
        (void)!start_forked(master, answer);
    start_on(master, generation);
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct template_process *template = watcher->data;
    struct fork_answer answer;
    ssize_t got = recv(template->fd, &answer, sizeof answer, MSG_DONTWAIT);
    (void)events;
    if (got == (ssize_t)sizeof answer && template->loaded) {
        hear(template, &answer);
    } else if (got == (ssize_t)sizeof answer && has_loaded(template, &answer)) {
        start_on(template->master, template->generation);
    } else {
        ev_io_stop(loop, watcher);
        template->deaf = true;
        if (got > 0)
            template_kill(template->master, template->generation, "it is of another version than the master");
    }
}

/* The host's command line with the template's end of the conversation. */
static char **make_argv(char *const *argv, int fd, char **ret_option)
{
    size_t count = 0;
    while (argv[count])
        count++;
    char **own = memory_must(calloc(count + 2, sizeof *own));
    own[0] = argv[0];
    own[1] = *ret_option = memory_text("--template=%d", fd);
    memcpy(own + 2, argv + 1, (count - 1) * sizeof *own);
    return own;
}

static int spawn(struct template_process *template, const struct deal *deal, int their_fd, int output_fd,
                 const char **ret_step)
{
    struct master *master = template->master;
    const struct conf *conf = versions_of(&master->versions, template->generation)->conf;
    struct pages_start start __attribute__((cleanup(pages_start_fini))) = {.fds = {-1, -1}};
    char program[PATH_MAX], *option, **argv;
    *ret_step = "finding the program";
    int result = conf_program(conf, program, sizeof program);
    if (result)
        return result;
    *ret_step = "/dev/null";
    __attribute__((cleanup(fd_close))) int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (nothing < 0)
        return -errno;
    bool seen = master->pages.pool && strcmp(conf_text(conf, SETTING_ID_OBSERVE), "kernel") != 0;
    if (seen)
        pages_preload(&master->pages, deal->envp, &start);
    argv = make_argv(deal->argv, their_fd, &option);
    struct spawn_options options = {
        .path = program,
        .argv = argv,
        .envp = seen ? start.envp : deal->envp,
        .same_session = seen,
        .stdin_fd = nothing,
        .output_fd = output_fd,
        .inherit_output = output_fd < 0,
        .kept_fds = &their_fd,
        .kept_count = 1,
        .preload = seen ? master->pages.library : NULL,
        .plain_envp = deal->envp,
    };
    start_describe(master, conf, &options);
    result = spawn_process(&options, &template->pid, ret_step);
    free(argv);
    free(option);
    return result;
}

static int begin(struct template_process *template, const char **ret_step)
{
    struct master *master = template->master;
    const struct conf *conf = versions_of(&master->versions, template->generation)->conf;
    struct deal deal __attribute__((cleanup(deal_fini)));
    __attribute__((cleanup(fd_close))) int output_fd = -1;
    int ends[2];
    *ret_step = "socket";
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return -errno;
    template->fd = ends[0];
    __attribute__((cleanup(fd_close))) int their_fd = ends[1];
    *ret_step = "pipe";
    int result = start_output(master, conf, OUTPUT_TEMPLATE, &template->output, &output_fd);
    if (result)
        return result;
    deal_init(&deal, conf, 0, 0);
    result = spawn(template, &deal, their_fd, output_fd, ret_step);
    if (result)
        return result;
    log_info("template pid %ld started", (long)template->pid);
    if (template->output)
        output_start(template->output, master->loop, template->pid);
    ev_io_init(&template->watcher, on_readable, template->fd, EV_READ);
    template->watcher.data = template;
    ev_io_start(master->loop, &template->watcher);
    return 0;
}

int template_ready(struct master *master, uint64_t generation, const char **ret_step)
{
    struct template_process *template = find(master, generation);
    if (template)
        return template->loaded && !template->ordered && !template->deaf && !template->killed;
    template = memory_must(calloc(1, sizeof *template));
    *template = (struct template_process){.fd = -1, .generation = generation, .master = master};
    ev_init(&template->watcher, on_readable);
    int result = begin(template, ret_step);
    if (result)
        template_free(template);
    else
        versions_of(&master->versions, generation)->template = template;
    return result;
}

/* ---- its end ---- */

void template_kill(struct master *master, uint64_t generation, const char *why)
{
    struct template_process *template = find(master, generation);
    if (!template || template->killed)
        return;
    template->killed = true;
    log_warning("template pid %ld is killed: %s", (long)template->pid, why);
    recent_add("template pid %ld is killed: %s", (long)template->pid, why);
    (void)kill(-template->pid, SIGKILL);
}

static struct template_process *take_out(struct master *master, pid_t pid)
{
    for (size_t i = 0; i < master->versions.count; i++) {
        struct template_process *template = master->versions.items[i].template;
        if (template && template->pid == pid) {
            master->versions.items[i].template = NULL;
            return template;
        }
    }
    return NULL;
}

bool template_ended(struct master *master, const siginfo_t *death)
{
    struct template_process *template = take_out(master, death->si_pid);
    char how[80];
    if (!template)
        return false;
    (void)kill(-template->pid, SIGKILL);
    output_stop(template->output, master->loop);
    template->output = NULL;
    reap_describe(death, true, how, sizeof how);
    log_warning("template pid %ld %s", (long)template->pid, how);
    recent_add("template pid %ld %s", (long)template->pid, how);
    (void)waitpid(template->pid, NULL, WNOHANG);
    template->pid = 0;
    if (template->useful && !template->killed)
        start_again(master, template->generation);
    else
        start_missed(master, template->generation);
    template_free(template);
    return true;
}

/* ---- forking ---- */

static void pack_environment(char *const *envp, char *ret_strings)
{
    for (size_t i = 0; envp[i]; i++)
        ret_strings = stpcpy(ret_strings, envp[i]) + 1;
}

static size_t environment_size(char *const *envp)
{
    size_t size = 0;
    for (size_t i = 0; envp[i]; i++)
        size += strlen(envp[i]) + 1;
    return size;
}

static size_t gather_fds(const struct spawn_options *options, int ret_fds[FORK_ORDER_FDS])
{
    size_t count = 0;
    ret_fds[count++] = options->stdin_fd;
    if (!options->inherit_output)
        ret_fds[count++] = options->output_fd;
    for (size_t i = 0; i < options->kept_count && count < FORK_ORDER_FDS; i++)
        ret_fds[count++] = options->kept_fds[i];
    return count;
}

static struct fork_order make_order(uint64_t serial, const struct spawn_options *options)
{
    struct fork_order order = {
        .serial = serial,
        .flags = (options->inherit_output ? 0U : FORK_ORDER_OUTPUT) |
                 (options->kept_count ? FORK_ORDER_PAGE : 0U) |
                 (options->same_session ? FORK_ORDER_SAME_SESSION : 0U),
    };
    for (uint32_t i = 0; options->processors && i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, options->processors)) {
            order.flags |= FORK_ORDER_PROCESSOR;
            order.processor = i;
        }
    }
    return order;
}

/* One packet. Returns 0 or -errno. */
static int send_order(int fd, uint64_t serial, const struct spawn_options *options)
{
    union {
        char bytes[CMSG_SPACE(FORK_ORDER_FDS * sizeof(int))];
        struct cmsghdr align;
    } control = {.bytes = ""};
    int fds[FORK_ORDER_FDS];
    size_t fd_count = gather_fds(options, fds), size = environment_size(options->plain_envp);
    struct fork_order order = make_order(serial, options);
    if (size > FORK_ORDER_BYTES)
        return -E2BIG;
    char *strings = memory_must(malloc(size + 1));
    pack_environment(options->plain_envp, strings);
    struct iovec parts[] = {{&order, sizeof order}, {strings, size}};
    struct msghdr message = {.msg_iov = parts,
                             .msg_iovlen = 2,
                             .msg_control = control.bytes,
                             .msg_controllen = CMSG_SPACE(fd_count * sizeof(int))};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
    memcpy(CMSG_DATA(head), fds, fd_count * sizeof(int));
    int result = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
    free(strings);
    return result;
}

int template_order(struct master *master, uint64_t generation, uint64_t serial,
                   const struct spawn_options *options)
{
    struct template_process *template = find(master, generation);
    int result = send_order(template->fd, serial, options);
    template->deaf = result == -EPIPE;
    template->ordered = result == 0 || template->deaf;
    return template->ordered ? 0 : result;
}
