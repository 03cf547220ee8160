/* Stacks by eu-stack; see stack.h. */
#include "daemon/stack.h"

#include "daemon/base/fd.h"
#include "daemon/base/memory.h"
#include "daemon/kernel/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROGRAM   "eu-stack"
#define READ_SIZE 16384

/* ---- the end ---- */

static void finish(struct stack *stack)
{
    ev_io_stop(stack->loop, &stack->reader);
    ev_timer_stop(stack->loop, &stack->limit);
    (void)close(stack->reader.fd);
    (void)close(stack->child);
    (void)close(stack->subject);
    stack->child = stack->subject = -1;
}

/* A tracer that is killed can leave its subject stopped. Whoever is reaped already is not hit by these, for
 * they name no pid; the child itself is reaped as every child is. */
static void end_early(const struct stack *stack)
{
    (void)pidfd_send_signal(stack->child, SIGKILL, NULL, 0);
    (void)pidfd_send_signal(stack->subject, SIGCONT, NULL, 0);
}

static bool says(const struct stack *stack, const char *words)
{
    return memmem(stack->text, stack->length, words, strlen(words)) != NULL;
}

/* Without a single frame, and with the reason: it could not attach, or not read the maps. */
static bool is_forbidden(const struct stack *stack)
{
    return (says(stack, strerrordesc_np(EPERM)) || says(stack, strerrordesc_np(EACCES))) &&
           !says(stack, "\n#0 ");
}

static void tell(struct stack *stack, enum stack_result result)
{
    finish(stack);
    if (is_forbidden(stack))
        result = STACK_FORBIDDEN;
    stack->done(result, stack->text, stack->length, stack->context);
}

/* ---- reading ---- */

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct stack *stack = watcher->data;
    char buffer[READ_SIZE];
    (void)loop, (void)events;
    ssize_t length = read(watcher->fd, buffer, sizeof buffer);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length <= 0) {
        tell(stack, STACK_TAKEN);
        return;
    }
    size_t room = STACK_TEXT_MAX - stack->length;
    size_t taken = (size_t)length < room ? (size_t)length : room;
    memcpy(stack->text + stack->length, buffer, taken);
    stack->length += taken;
}

static void on_limit(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct stack *stack = timer->data;
    (void)loop, (void)events;
    end_early(stack);
    tell(stack, STACK_LATE);
}

/* ---- the begin ---- */

static bool is_program(const char *path)
{
    struct stat found;
    return path[0] == '/' && stat(path, &found) == 0 && S_ISREG(found.st_mode) && access(path, X_OK) == 0;
}

static void find_program(char ret_path[static PATH_MAX])
{
    const char *search = getenv("PATH");
    for (const char *at = search != NULL ? search : "/usr/bin:/bin"; *at != '\0'; at += *at == ':') {
        size_t length = strcspn(at, ":");
        int size = snprintf(ret_path, PATH_MAX, "%.*s/" PROGRAM, (int)length, at);
        if (size > 0 && size < PATH_MAX && is_program(ret_path))
            return;
        at += length;
    }
    ret_path[0] = '\0';
}

void stack_init(struct stack *stack, struct ev_loop *loop, const struct credentials *credentials,
                stack_done_fn *done, void *context)
{
    *stack = (struct stack){.loop = loop,
                            .credentials = credentials,
                            .done = done,
                            .context = context,
                            .child = -1,
                            .subject = -1};
    find_program(stack->program);
    ev_io_init(&stack->reader, on_readable, -1, EV_READ);
    ev_timer_init(&stack->limit, on_limit, STACK_LIMIT_MS / 1000.0, 0.0);
    stack->reader.data = stack->limit.data = stack;
}

bool stack_can(const struct stack *stack)
{
    return stack->program[0] != '\0';
}

/* In English, and without a look on the network for what the file system does not have: debuginfod is asked
 * for in the environment. */
static int spawn_reader(const struct stack *stack, pid_t subject, int output_fd, pid_t *ret_pid)
{
    char name[] = PROGRAM, option[] = "-p", number[16], locale[] = "LC_ALL=C";
    char *argv[] = {name, option, number, NULL}, *envp[] = {locale, NULL};
    const char *step;
    __attribute__((cleanup(fd_close))) int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (nothing < 0)
        return -errno;
    (void)snprintf(number, sizeof number, "%ld", (long)subject);
    const struct spawn_options options = {.path = stack->program,
                                          .argv = argv,
                                          .envp = envp,
                                          .umask = 077,
                                          .credentials = stack->credentials,
                                          .stdin_fd = nothing,
                                          .output_fd = output_fd};
    return spawn_process(&options, ret_pid, &step);
}

/* Nobody reaps before we are back in the loop, so the pid is the child's until then. */
static int start_reader(struct stack *stack, pid_t subject, int *ret_read_fd)
{
    int ends[2];
    pid_t pid = 0;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -errno;
    int result = fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0 ? 0 : -errno;
    if (result == 0)
        result = spawn_reader(stack, subject, ends[1], &pid);
    (void)close(ends[1]);
    if (result == 0) {
        stack->child = pidfd_open(pid, 0);
        result = stack->child < 0 ? -errno : 0;
        if (result != 0)
            (void)kill(pid, SIGKILL);
    }
    if (result != 0)
        (void)close(ends[0]);
    else
        *ret_read_fd = ends[0];
    return result;
}

int stack_take(struct stack *stack, pid_t pid)
{
    int read_fd = -1;
    if (!stack_can(stack))
        return -ENOENT;
    if (stack->child >= 0)
        return -EBUSY;
    int subject = pidfd_open(pid, 0);
    int result = subject < 0 ? -errno : start_reader(stack, pid, &read_fd);
    if (result != 0) {
        fd_close(&subject);
        return result;
    }
    if (stack->text == NULL)
        stack->text = memory_must(malloc(STACK_TEXT_MAX));
    stack->subject = subject;
    stack->length = 0;
    ev_io_set(&stack->reader, read_fd, EV_READ);
    ev_io_start(stack->loop, &stack->reader);
    ev_now_update(stack->loop);
    ev_timer_set(&stack->limit, STACK_LIMIT_MS / 1000.0, 0.0);
    ev_timer_start(stack->loop, &stack->limit);
    return 0;
}

void stack_fini(struct stack *stack)
{
    if (stack->child >= 0) {
        end_early(stack);
        finish(stack);
    }
    free(stack->text);
    stack->text = NULL;
}
