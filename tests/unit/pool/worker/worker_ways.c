/*
 * A FastCGI worker that goes about its connections in the way that its argument names; see `ways` below. It
 * serves one request a connection and answers with what the way has to tell, "ok" if nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define REQUEST_MAX 65536
#define THREADS_MAX 70

static bool is_complete(const uint8_t *bytes, size_t length)
{
    for (size_t at = 0; at + 8 <= length;) {
        size_t content = (size_t)bytes[at + 4] << 8 | bytes[at + 5];
        if (bytes[at + 1] == 5 && content == 0)
            return true;
        at += 8 + content + bytes[at + 6];
    }
    return false;
}

static ssize_t by_read(int fd, uint8_t *bytes, size_t room)
{
    return read(fd, bytes, room);
}

static ssize_t by_vector(int fd, uint8_t *bytes, size_t room)
{
    size_t first = room > 5 ? 5 : room;
    struct iovec parts[2] = {{bytes, first}, {bytes + first, room - first}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    static unsigned turn;
    return turn++ % 2 ? readv(fd, parts, 2) : recvmsg(fd, &message, 0);
}

static void receive(int fd, ssize_t (*by)(int, uint8_t *, size_t))
{
    uint8_t bytes[REQUEST_MAX];
    size_t length = 0;
    while (length < sizeof bytes && !is_complete(bytes, length)) {
        ssize_t got = by(fd, bytes + length, sizeof bytes - length < 100 ? sizeof bytes - length : 100);
        if (got <= 0)
            return;
        length += (size_t)got;
    }
}

static void answer(int fd, const char *text)
{
    size_t length = strlen(text);
    uint8_t head[8] = {1, 6, 0, 1, (uint8_t)(length >> 8), (uint8_t)length};
    uint8_t end[16] = {1, 3, 0, 1, 0, 8};
    struct iovec parts[3] = {{head, sizeof head}, {(void *)text, length}, {end, sizeof end}};
    if (writev(fd, parts, 3) < 0)
        return; /* the client has gone */
}

static int take(int listener)
{
    int fd = accept(listener, NULL, NULL);
    if (fd < 0)
        exit(0);
    return fd;
}

static void plain(void)
{
    int fd = take(0);
    receive(fd, by_read);
    answer(fd, "ok");
    close(fd);
}

static void vector(void)
{
    int fd = take(0);
    receive(fd, by_vector);
    answer(fd, "ok");
    close(fd);
}

/* Nothing sees how it is read, nor that it is closed. */
static void stdio(void)
{
    int fd = take(0);
    FILE *file = fdopen(fd, "r+");
    uint8_t bytes[REQUEST_MAX];
    size_t length = 0;
    while (length < sizeof bytes && !is_complete(bytes, length) && fread(bytes + length, 1, 1, file) == 1)
        length++;
    answer(fd, "ok");
    fclose(file);
}

/* An answer that comes out when the stream is closed. */
static void flush(void)
{
    enum { LENGTH = 4 << 20 };
    int fd = take(0);
    FILE *file = fdopen(fd, "r+");
    char *room = malloc(LENGTH + 1), *text = calloc(LENGTH, 1);
    receive(fd, by_read);
    setvbuf(file, room, _IOFBF, LENGTH + 1);
    fwrite(text, LENGTH, 1, file);
    fclose(file);
    free(room);
    free(text);
}

static ssize_t by_system_call(int fd, uint8_t *bytes, size_t room)
{
    return syscall(SYS_read, fd, bytes, room);
}

/* Nothing but the answer is seen. */
static void unread(void)
{
    int fd = take(0);
    receive(fd, by_system_call);
    answer(fd, "ok");
    receive(fd, by_system_call); /* until the client has gone */
    close(fd);
}

static void behind(void)
{
    int fd = take(0);
    receive(fd, by_read);
    answer(fd, "ok");
    syscall(SYS_close, fd);
}

static void copy(void)
{
    int fd = take(0), second = dup(fd);
    close(fd);
    receive(second, by_read);
    answer(second, "ok");
    dup2(2, second);
    close(second);
}

/* What a CGI program of this worker finds. */
static void cgi(void)
{
    char text[8192] = "";
    int fd = take(0), ends[2];
    receive(fd, by_read);
    if (pipe(ends) < 0)
        exit(1);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], 1);
        execl("/bin/sh", "sh", "-c",
              "env; grep -l memfd /proc/self/maps; ls -l /proc/self/fd; grep SigBlk /proc/self/status",
              (char *)NULL);
        _exit(1);
    }
    close(ends[1]);
    size_t length = 0;
    ssize_t got;
    while (length < sizeof text - 1 && (got = read(ends[0], text + length, sizeof text - 1 - length)) > 0)
        length += (size_t)got;
    close(ends[0]);
    waitpid(pid, NULL, 0);
    answer(fd, text);
    close(fd);
}

/* Masks a signal of its own while it accepts, and takes a wait that is interrupted for the end of the client.
 */
static void brackets(void)
{
    sigset_t own, former;
    sigemptyset(&own);
    sigaddset(&own, SIGTERM);
    sigprocmask(SIG_BLOCK, &own, &former);
    int fd = take(0);
    sigprocmask(SIG_SETMASK, &former, NULL);
    struct pollfd client = {.fd = fd, .events = POLLIN};
    if (poll(&client, 1, -1) == 1) {
        receive(fd, by_read);
        answer(fd, "ok");
    }
    close(fd);
}

static void *tell_mask(void *text)
{
    FILE *file = popen("exec grep SigBlk /proc/self/status", "r");
    ((char *)text)[fread(text, 1, 100, file)] = '\0';
    pclose(file);
    return NULL;
}

/* What a program finds held that is started by a thread that is born with a request in hand. */
static void born(void)
{
    char text[128];
    pthread_t thread;
    int fd = take(0);
    receive(fd, by_read);
    if (pthread_create(&thread, NULL, tell_mask, text) != 0)
        exit(1);
    pthread_join(thread, NULL);
    answer(fd, text);
    close(fd);
}

/* Masks all signals by itself, from its first request on. */
static void masks(void)
{
    sigset_t all;
    sigfillset(&all);
    plain();
    pthread_sigmask(SIG_BLOCK, &all, NULL);
}

/* What the programs find held that are started in one way and another, by the second request of a kept
 * connection; and who started them, after that. */
static void starts(void)
{
    char text[1024], *program[] = {"grep", "SigBlk", "/proc/self/status", NULL};
    int fd = take(0), ends[2], former = dup(1);
    pid_t pid;
    receive(fd, by_read);
    answer(fd, "ok");
    receive(fd, by_read);
    if (pipe(ends) < 0 || dup2(ends[1], 1) < 0)
        exit(1);
    if (posix_spawn(&pid, "/bin/grep", NULL, NULL, program, environ) == 0)
        waitpid(pid, NULL, 0);
    if (posix_spawnp(&pid, "grep", NULL, NULL, program, environ) == 0)
        waitpid(pid, NULL, 0);
    if (system("exec grep SigBlk /proc/self/status") != 0 || execve("/nowhere", program, environ) == 0)
        exit(1);
    dup2(former, 1);
    close(former);
    close(ends[1]);
    ssize_t length = read(ends[0], text, sizeof text / 2);
    close(ends[0]);
    FILE *file = popen("exec grep SigBlk /proc/self/status", "r");
    length += (ssize_t)fread(text + length, 1, sizeof text / 4, file);
    pclose(file);
    sigset_t held;
    sigprocmask(SIG_BLOCK, NULL, &held);
    (void)snprintf(text + length, sizeof text / 4, sigismember(&held, SIGURG) ? "held" : "let through");
    answer(fd, text);
    close(fd);
}

/* A child that closes everything while it shares our memory, if it does. */
static void vforks(void)
{
    int fd = take(0);
    pid_t pid = vfork();
    if (pid == 0) {
        for (int i = 3; i < 256; i++)
            close(i);
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    waitpid(pid, NULL, 0);
    receive(fd, by_read);
    answer(fd, "ok");
    close(fd);
}

static void moved(void)
{
    static int listener;
    if (listener == 0) {
        listener = dup(0);
        close(0);
    }
    int fd = take(listener);
    receive(fd, by_read);
    answer(fd, "ok");
    close(fd);
}

/* The listener and connections at numbers that few programs come to; the last one is beyond what is seen. */
static void numbers(void)
{
    static const int high[] = {200, 1000, 65535, 65536};
    static int listener;
    static unsigned turn;
    struct rlimit files;
    fd_set readable;
    if (listener == 0) {
        getrlimit(RLIMIT_NOFILE, &files);
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
        listener = fcntl(0, F_DUPFD, 300);
        close(0);
    }
    FD_ZERO(&readable);
    FD_SET(listener, &readable);
    select(listener + 1, &readable, NULL, NULL, NULL);
    int fd = take(listener), moved = fcntl(fd, F_DUPFD, high[turn++ % 4]);
    if (moved >= 0) {
        close(fd);
        fd = moved;
    }
    receive(fd, by_read);
    answer(fd, "ok");
    close(fd);
}

/* Never believes that its socket is no good. */
static void retry(void)
{
    int fd = accept(0, NULL, NULL);
    if (fd < 0)
        return;
    receive(fd, by_read);
    answer(fd, "ok");
    close(fd);
}

/* Nothing is seen of the request but its first record. */
static void discard(void)
{
    int fd = take(0);
    uint8_t record[16];
    if (recv(fd, record, sizeof record, MSG_WAITALL) != sizeof record || recv(fd, NULL, 4096, MSG_TRUNC) <= 0)
        exit(1);
    answer(fd, "ok");
    receive(fd, by_read); /* until the client has gone */
    close(fd);
}

/* Waits that cannot be. */
static void invalid(void)
{
    fd_set set;
    struct pollfd listener = {.fd = 0, .events = POLLIN};
    struct timeval past = {.tv_sec = -1};
    const struct timespec much = {.tv_nsec = 1500000000};
    FD_ZERO(&set);
    FD_SET(0, &set);
    if (select(1, &set, NULL, NULL, &past) >= 0 || errno != EINVAL ||
        pselect(1, &set, NULL, NULL, &much, NULL) >= 0 || errno != EINVAL ||
        ppoll(&listener, 1, &much, NULL) >= 0 || errno != EINVAL)
        exit(1);
    plain();
}

/* An accept that cannot be. */
static void wrong(void)
{
    if (accept4(0, NULL, NULL, 1) >= 0)
        exit(1);
    plain();
}

static void note(int number)
{
    (void)number;
}

/* Leaves when a signal has ended its accept. */
static void interrupted(void)
{
    struct sigaction action = {.sa_handler = note};
    struct itimerval often = {.it_interval = {.tv_usec = 10000}, .it_value = {.tv_usec = 10000}};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    exit(accept(0, NULL, NULL) < 0 && errno == EINTR ? 0 : 1);
}

/* Closes each connection when it has the next one. */
static void late(void)
{
    static int last = -1;
    int fd = take(0);
    if (last >= 0)
        close(last);
    last = fd;
    receive(fd, by_read);
    answer(fd, "ok");
}

/* The same, and the answer says of nothing where it ends. */
static void late_unknown(void)
{
    static int last = -1;
    char byte;
    int fd = take(0);
    if (last >= 0)
        close(last);
    last = fd;
    if (read(fd, &byte, 1) == 1)
        (void)!write(fd, "ok", 2);
}

/* Asks for a listener that does not block only where it finds one that does, and tells what came of it. */
static void unblock(void)
{
    static const char *text = "blocked";
    struct pollfd listener = {.fd = 0, .events = POLLIN};
    if (!(fcntl(0, F_GETFL) & O_NONBLOCK))
        (void)fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK);
    int fd = accept(0, NULL, NULL);
    if (fd < 0) {
        text = "did not block";
        (void)poll(&listener, 1, -1);
        return;
    }
    receive(fd, by_read);
    answer(fd, text);
    close(fd);
}

static void *thread(void *unused)
{
    for (;;) {
        int fd = accept(0, NULL, NULL);
        if (fd < 0)
            return unused;
        receive(fd, by_read);
        answer(fd, "ok");
        close(fd);
    }
}

static void run(int count, void *(*body)(void *))
{
    pthread_t ids[THREADS_MAX];
    for (int i = 0; i < count; i++)
        pthread_create(&ids[i], NULL, body, NULL);
    for (int i = 0; i < count; i++)
        pthread_join(ids[i], NULL);
}

static void threads(void)
{
    run(4, thread);
    exit(0);
}

/* More than the page has rows for. */
static void crowd(void)
{
    run(THREADS_MAX, thread);
    exit(0);
}

static void *polling_thread(void *unused)
{
    struct pollfd listener = {.fd = 0, .events = POLLIN};
    while (poll(&listener, 1, -1) >= 0 && accept(0, NULL, NULL) >= 0)
        continue;
    return unused;
}

static void polling_threads(void)
{
    run(4, polling_thread);
    exit(0);
}

static int epoll;

static void *epoll_thread(void *unused)
{
    struct epoll_event event;
    while (epoll_wait(epoll, &event, 1, -1) >= 0 && accept(0, NULL, NULL) >= 0)
        continue;
    return unused;
}

static void epoll_threads(void)
{
    struct epoll_event event = {.events = EPOLLIN};
    epoll = epoll_create1(0);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &event) < 0)
        exit(1);
    run(4, epoll_thread);
    exit(0);
}

/* Each with its own. */
static void *epoll_set_thread(void *unused)
{
    struct epoll_event event = {.events = EPOLLIN};
    int own = epoll_create1(0);
    if (epoll_ctl(own, EPOLL_CTL_ADD, 0, &event) < 0 || epoll_wait(own, &event, 1, -1) < 0)
        exit(1);
    return unused;
}

static void epoll_sets(void)
{
    run(THREADS_MAX, epoll_set_thread);
    exit(0);
}

/* Threads that accept once each, all at the same time, again and again. */
static pthread_barrier_t barrier;

static void *one_accept(void *unused)
{
    pthread_barrier_wait(&barrier);
    close(accept(0, NULL, NULL));
    return unused;
}

static void generations(void)
{
    pthread_barrier_init(&barrier, NULL, 64);
    run(64, one_accept);
    pthread_barrier_destroy(&barrier);
}

/* Threads that never accept serve connections that are kept. */
static void *serve_kept(void *connection)
{
    uint8_t bytes[REQUEST_MAX];
    int fd = *(int *)connection;
    free(connection);
    while (read(fd, bytes, sizeof bytes) > 0)
        answer(fd, "ok");
    close(fd);
    return NULL;
}

static void boss(void)
{
    pthread_t id;
    int *connection = malloc(sizeof *connection);
    *connection = take(0);
    pthread_create(&id, NULL, serve_kept, connection);
    pthread_detach(id);
}

static void *serve(void *connection)
{
    int fd = *(int *)connection;
    free(connection);
    receive(fd, by_read);
    usleep(3000);
    answer(fd, "ok");
    close(fd);
    return NULL;
}

static void handover(void)
{
    pthread_t id;
    int *connection = malloc(sizeof *connection);
    *connection = take(0);
    pthread_create(&id, NULL, serve, connection);
    pthread_detach(id);
}

/* Keeps some children, come what may. */
static void keep_children(int number)
{
    for (int count = 0;; count--) {
        for (; count < number; count++) {
            if (fork() == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                for (;;)
                    plain();
            }
        }
        wait(NULL);
    }
}

static void children(void)
{
    keep_children(2);
}

static void many_children(void)
{
    keep_children(64);
}

static const struct {
    const char *name;
    void (*serve)(void);
} ways[] = {
    {"plain", plain},
    {"vector", vector},
    {"stdio", stdio},
    {"behind", behind},
    {"copy", copy},
    {"cgi", cgi},
    {"vfork", vforks},
    {"moved", moved},
    {"numbers", numbers},
    {"retry", retry},
    {"threads", threads},
    {"handover", handover},
    {"children", children},
    {"unblock", unblock},
    {"starts", starts},
    {"masks", masks},
    {"brackets", brackets},
    {"born", born},
    {"wrong", wrong},
    {"interrupted", interrupted},
    {"flush", flush},
    {"unread", unread},
    {"late", late},
    {"late-unknown", late_unknown},
    {"discard", discard},
    {"invalid", invalid},
    {"crowd", crowd},
    {"polling-threads", polling_threads},
    {"boss", boss},
    {"epoll-sets", epoll_sets},
    {"epoll-threads", epoll_threads},
    {"generations", generations},
    {"many-children", many_children},
};

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; argc > 1 && i < sizeof ways / sizeof *ways; i++) {
        while (strcmp(argv[1], ways[i].name) == 0)
            ways[i].serve();
    }
    return 2;
}
