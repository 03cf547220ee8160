/*
 * A FastCGI worker that serves many connections in one loop.
 *   worker_events poll|ppoll|select|pselect|epoll|epoll_pwait|epoll_rearm|epoll_leave [DELAY_MS [nonblock]]
 * Each answer comes DELAY_MS after its request, with the process's number in X-Pid. It leaves with 3 when a
 * call has done what it must not: what was asked is changed, or the listener cannot be armed for one event at
 * each turn (epoll_rearm), or be taken out and put in again (epoll_leave).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS 64
#define SET_ROOM    65536

struct connection {
    int fd; /* -1: free */
    bool keeps;
    long due_ms; /* 0: the request is not complete */
    size_t length;
    uint8_t bytes[1 << 17];
};

static struct connection connections[CONNECTIONS];
static const char *way;
static long delay_ms;
static int epoll = -1;
static bool ready[CONNECTIONS + 1]; /* the last one is the listener */

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool is(const char *name)
{
    return strcmp(way, name) == 0;
}

static void require(bool right)
{
    if (!right)
        exit(3);
}

/* How long until an answer is due, or -1. */
static long next_ms(void)
{
    long due = -1, now = now_ms();
    for (int i = 0; i < CONNECTIONS; i++) {
        long left = connections[i].due_ms - now;
        if (connections[i].fd >= 0 && connections[i].due_ms && (due < 0 || left < due))
            due = left > 0 ? left : 0;
    }
    return due;
}

static void wait_poll(long ms, const struct timespec *timeout, const sigset_t *mask)
{
    struct pollfd fds[CONNECTIONS + 1];
    for (int i = 0; i < CONNECTIONS; i++)
        fds[i] = (struct pollfd){.fd = connections[i].fd, .events = POLLIN};
    fds[CONNECTIONS] = (struct pollfd){.fd = 0, .events = POLLIN};
    if (is("poll"))
        (void)poll(fds, CONNECTIONS + 1, (int)ms);
    else
        (void)ppoll(fds, CONNECTIONS + 1, timeout, mask);
    for (int i = 0; i <= CONNECTIONS; i++) {
        ready[i] = fds[i].revents != 0;
        require(fds[i].fd == (i < CONNECTIONS ? connections[i].fd : 0));
    }
}

/* A set of no more words than descriptors below `size` need, and nothing behind it. */
static fd_set *make_set(int size)
{
    static char *end;
    size_t bytes = ((size_t)size + NFDBITS - 1) / NFDBITS * sizeof(fd_mask);
    if (!end) {
        end = mmap(NULL, 2 * SET_ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (end == MAP_FAILED || mprotect(end + SET_ROOM, SET_ROOM, PROT_NONE) < 0)
            exit(1);
        end += SET_ROOM;
    }
    memset(end - bytes, 0, bytes);
    return (fd_set *)(void *)(end - bytes);
}

static void wait_select(long ms, const struct timespec *timeout, const sigset_t *mask)
{
    int size = 1;
    struct timeval left = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    for (int i = 0; i < CONNECTIONS; i++) {
        if (connections[i].fd >= size)
            size = connections[i].fd + 1;
    }
    fd_set *set = make_set(size);
    FD_SET(0, set);
    for (int i = 0; i < CONNECTIONS; i++) {
        if (connections[i].fd >= 0)
            FD_SET(connections[i].fd, set);
    }
    int count = is("select") ? select(size, set, NULL, NULL, ms < 0 ? NULL : &left)
                             : pselect(size, set, NULL, NULL, timeout, mask);
    for (int i = 0; i < CONNECTIONS && count > 0; i++)
        ready[i] = connections[i].fd >= 0 && FD_ISSET(connections[i].fd, set);
    ready[CONNECTIONS] = count > 0 && FD_ISSET(0, set);
    require(count >= 0 || FD_ISSET(0, set));
}

static void wait_epoll(long ms, const sigset_t *mask)
{
    struct epoll_event events[CONNECTIONS + 1];
    struct epoll_event once = {.events = EPOLLIN | EPOLLONESHOT, .data.u32 = CONNECTIONS};
    if (is("epoll_rearm"))
        require(epoll_ctl(epoll, EPOLL_CTL_MOD, 0, &once) == 0);
    if (is("epoll_leave"))
        require(epoll_ctl(epoll, EPOLL_CTL_DEL, 0, NULL) == 0 &&
                epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &once) == 0);
    int count = is("epoll") ? epoll_wait(epoll, events, CONNECTIONS + 1, (int)ms)
                            : epoll_pwait(epoll, events, CONNECTIONS + 1, (int)ms, mask);
    for (int i = 0; i < count; i++)
        ready[events[i].data.u32] = true;
}

static void wait_all(void)
{
    long ms = next_ms();
    struct timespec timeout = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    sigset_t mask;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    memset(ready, 0, sizeof ready);
    if (epoll >= 0)
        wait_epoll(ms, &mask);
    else if (is("poll") || is("ppoll"))
        wait_poll(ms, ms < 0 ? NULL : &timeout, &mask);
    else
        wait_select(ms, ms < 0 ? NULL : &timeout, &mask);
}

static void watch(int fd, unsigned number)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = number};
    if (epoll >= 0)
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

/* Leaves as a program does whose socket is no good any more. */
static void take(void)
{
    int fd = accept(0, NULL, NULL);
    for (unsigned i = 0; i < CONNECTIONS && fd >= 0; i++) {
        if (connections[i].fd < 0) {
            connections[i].fd = fd;
            connections[i].length = 0;
            connections[i].due_ms = 0;
            watch(fd, i);
            return;
        }
    }
    if (fd >= 0 || errno == EAGAIN)
        return; /* another worker was faster */
    for (int i = 0; i < CONNECTIONS; i++) {
        if (connections[i].fd >= 0)
            return;
    }
    exit(0);
}

static void drop(struct connection *connection)
{
    close(connection->fd);
    connection->fd = -1;
}

/* True when the request is complete: its empty STDIN record is there. */
static bool is_complete(struct connection *connection)
{
    for (size_t at = 0; at + 8 <= connection->length;) {
        const uint8_t *header = connection->bytes + at;
        size_t content = (size_t)header[4] << 8 | header[5];
        if (at + 8 + content + header[6] > connection->length)
            return false;
        if (header[1] == 1)
            connection->keeps = header[10] & 1;
        if (header[1] == 5 && content == 0)
            return true;
        at += 8 + content + header[6];
    }
    return false;
}

static void receive(struct connection *connection)
{
    ssize_t got = read(connection->fd, connection->bytes + connection->length,
                       sizeof connection->bytes - connection->length);
    if (got <= 0) {
        drop(connection);
        return;
    }
    connection->length += (size_t)got;
    if (is_complete(connection))
        connection->due_ms = now_ms() + delay_ms;
}

static void answer(struct connection *connection)
{
    char text[64];
    int length =
        snprintf(text, sizeof text, "Content-Type: text/plain\r\nX-Pid: %d\r\n\r\ndone", (int)getpid());
    uint8_t records[8 + 64 + 16] = {1, 6, 0, 1, 0, (uint8_t)length};
    memcpy(records + 8, text, (size_t)length);
    memcpy(records + 8 + length, (uint8_t[]){1, 3, 0, 1, 0, 8}, 6);
    connection->due_ms = 0;
    connection->length = 0;
    if (write(connection->fd, records, 8 + (size_t)length + 16) < 0 || !connection->keeps)
        drop(connection);
}

static void note(int number)
{
    (void)number;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = note}; /* it interrupts what waits */
    sigaction(SIGUSR1, &action, NULL);
    way = argv[1];
    delay_ms = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
    if (argc > 3)
        (void)fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK);
    if (strncmp(way, "epoll", 5) == 0)
        epoll = epoll_create1(EPOLL_CLOEXEC);
    watch(0, CONNECTIONS);
    for (int i = 0; i < CONNECTIONS; i++)
        connections[i].fd = -1;
    for (;;) {
        wait_all();
        if (ready[CONNECTIONS])
            take();
        for (int i = 0; i < CONNECTIONS; i++) {
            if (connections[i].fd >= 0 && ready[i])
                receive(&connections[i]);
            if (connections[i].fd >= 0 && connections[i].due_ms && connections[i].due_ms <= now_ms())
                answer(&connections[i]);
        }
    }
}
