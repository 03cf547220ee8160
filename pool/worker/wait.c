/* Waits for the listener; see wait.h. */
#include "pool/worker/wait.h"

#include "pool/worker/acceptor.h"
#include "pool/worker/copy.h"
#include "pool/worker/drain.h"
#include "pool/worker/lock.h"
#include "pool/worker/next.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* How long a wait lasts while the listener is hidden. */
#define HIDDEN_NS 20000000U

#define FOREVER UINT64_MAX

static PROCESS_THREAD bool habit;

bool wait_is_habit(void)
{
    return habit;
}

/* One call of the program, to be done in as many steps as it takes. */
struct wait {
    int (*step)(struct wait *wait, bool hidden, const struct timespec *timeout, const sigset_t *mask);
    int (*strip)(struct wait *wait, int count); /* takes the listener out of `count` results */
    bool listens;                               /* the listener is in it */

    struct pollfd *fds;
    nfds_t fd_count;

    int set_size;
    fd_set *sets[3];
    fd_set asked[3];

    int epoll, event_count; /* `epoll` is -1: no such wait */
    struct epoll_event *events;
};

static void hide_in_set(int epoll, bool hidden);

static uint64_t nanoseconds(const struct timespec *timeout)
{
    if (!timeout || timeout->tv_sec > WAIT_SECONDS_MAX)
        return FOREVER;
    return (uint64_t)timeout->tv_sec * 1000000000U + (uint64_t)timeout->tv_nsec;
}

/* The program's mask without our signal, or NULL. */
static const sigset_t *open_mask(const sigset_t *mask, sigset_t *ret_mask)
{
    if (!mask)
        return NULL;
    *ret_mask = *mask;
    sigdelset(ret_mask, PAGE_DRAIN_SIGNAL);
    return ret_mask;
}

/* One step. Returns what the call did, or -1 with EAGAIN when another step is needed. */
static int step(struct wait *wait, uint64_t left_ns, const sigset_t *mask)
{
    bool waits = wait->listens && acceptor_wait(), hidden = false;
    unsigned signals = drain_signals();
    if (!waits) {
        if (wait->listens) {
            drain_give_up();
            hidden = drain_in_hand();
            if (wait->epoll >= 0)
                hide_in_set(wait->epoll, hidden);
        }
        process_let_signal();
    }
    uint64_t ns = hidden && left_ns > HIDDEN_NS ? HIDDEN_NS : left_ns;
    struct timespec timeout = {.tv_sec = (time_t)(ns / 1000000000U), .tv_nsec = (long)(ns % 1000000000U)};
    int count = wait->step(wait, hidden, ns == FOREVER ? NULL : &timeout, mask), error = errno;
    if (waits)
        acceptor_leave();
    else
        process_hold_signal();
    bool again = (count < 0 && error == EINTR && signals != drain_signals()) || (count == 0 && ns < left_ns);
    if (count > 0 && wait->listens && !hidden && drain_asked() && drain_in_hand()) {
        count = wait->strip(wait, count);
        again = count == 0;
    }
    errno = again ? EAGAIN : error;
    return again ? -1 : count;
}

static int run(struct wait *wait, const struct timespec *timeout, const sigset_t *mask)
{
    sigset_t opened;
    uint64_t left_ns = nanoseconds(timeout), until_ns = 0;
    mask = open_mask(mask, &opened);
    acceptor_enter();
    if (wait->listens)
        habit = true;
    int count = step(wait, left_ns, mask);
    while (count < 0 && errno == EAGAIN) {
        /* The clock is asked only now, for hardly a wait comes here: what has passed is given again. */
        uint64_t now = process_now();
        if (until_ns == 0)
            until_ns = left_ns < FOREVER - now ? now + left_ns : FOREVER;
        if (until_ns != FOREVER)
            left_ns = until_ns > now ? until_ns - now : 0;
        count = step(wait, left_ns, mask);
    }
    return count;
}

/* ---- poll ---- */

static bool is_hidden_fd(const struct pollfd *fd)
{
    return descriptor_is_listener(fd->fd);
}

/* There and back: a negative number, which is passed over; and unlike ~fd none that programs use, whose free
 * slots are -1. */
static int veiled(int fd)
{
    return fd ^ INT_MIN;
}

static int step_poll(struct wait *wait, bool hidden, const struct timespec *timeout, const sigset_t *mask)
{
    for (nfds_t i = 0; hidden && i < wait->fd_count; i++) {
        if (is_hidden_fd(&wait->fds[i]))
            wait->fds[i].fd = veiled(wait->fds[i].fd);
    }
    int count = NEXT(ppoll)(wait->fds, wait->fd_count, timeout, mask);
    for (nfds_t i = 0; hidden && i < wait->fd_count; i++) {
        if (wait->fds[i].fd < 0 && descriptor_is_listener(veiled(wait->fds[i].fd)))
            wait->fds[i].fd = veiled(wait->fds[i].fd);
    }
    return count;
}

static int strip_poll(struct wait *wait, int count)
{
    for (nfds_t i = 0; i < wait->fd_count; i++) {
        if (is_hidden_fd(&wait->fds[i]) && wait->fds[i].revents) {
            wait->fds[i].revents = 0;
            count--;
        }
    }
    return count;
}

static bool listens_poll(const struct pollfd *fds, nfds_t count)
{
    for (nfds_t i = 0; i < count; i++) {
        if (descriptor_is_listener(fds[i].fd) && (fds[i].events & (POLLIN | POLLRDNORM)))
            return true;
    }
    return false;
}

bool wait_listens(const struct pollfd *fds, nfds_t count)
{
    return process.page && listens_poll(fds, count);
}

int wait_poll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
    struct wait wait;
    wait.step = step_poll;
    wait.strip = strip_poll;
    wait.listens = listens_poll(fds, count);
    wait.fds = fds;
    wait.fd_count = count;
    wait.epoll = -1;
    return run(&wait, timeout, mask);
}

/* ---- select ---- */

/* As much of a set as the call looks at, in whole words: many a program gives no more room than that. */
static void copy_set(fd_set *to, const fd_set *from, int count)
{
    size_t words = ((size_t)count + NFDBITS - 1) / NFDBITS;
    copy_bytes(to, from, words * sizeof(fd_mask));
}

static void clear_listeners(int size, fd_set *set, int *count)
{
    for (unsigned fd = 0; fd < descriptor_listener_end && (int)fd < size; fd++) {
        if (FD_ISSET(fd, set) && descriptor_is_listener((int)fd)) {
            FD_CLR(fd, set);
            --*count;
        }
    }
}

static void ask_again(struct wait *wait)
{
    for (int i = 0; i < 3; i++) {
        if (wait->sets[i])
            copy_set(wait->sets[i], &wait->asked[i], wait->set_size);
    }
}

static int step_select(struct wait *wait, bool hidden, const struct timespec *timeout, const sigset_t *mask)
{
    int cleared = 0;
    ask_again(wait);
    if (hidden)
        clear_listeners(wait->set_size, wait->sets[0], &cleared);
    int count = NEXT(pselect)(wait->set_size, wait->sets[0], wait->sets[1], wait->sets[2], timeout, mask);
    if (count < 0)
        ask_again(wait); /* a wait that fails leaves the sets as they were, and so do we */
    return count;
}

static int strip_select(struct wait *wait, int count)
{
    clear_listeners(wait->set_size, wait->sets[0], &count);
    return count;
}

int wait_select(int count, fd_set *readable, fd_set *writable, fd_set *exceptional,
                const struct timespec *timeout, const sigset_t *mask)
{
    struct wait wait;
    wait.step = step_select;
    wait.strip = strip_select;
    wait.listens = true;
    wait.set_size = count;
    wait.epoll = -1;
    wait.sets[0] = readable;
    wait.sets[1] = writable;
    wait.sets[2] = exceptional;
    for (int i = 0; i < 3; i++) {
        if (wait.sets[i])
            copy_set(&wait.asked[i], wait.sets[i], count);
    }
    return run(&wait, timeout, mask);
}

/* ---- epoll ---- */

#define REGISTRATIONS 64

/* The listener in an epoll set. `fd` is -1: free. Written with the lock held, and the signal, whose handler
 * takes it too. */
static struct registration {
    int epoll, fd;
    bool hidden; /* the kernel does not know of it; the program need not know */
    struct epoll_event event;
} registrations[REGISTRATIONS];
static int registration_count; /* those that were ever used */
static bool registrations_lock;

static struct registration *find_registration(int epoll, int fd)
{
    for (int i = 0; i < registration_count; i++) {
        struct registration *at = &registrations[i];
        if (at->fd == fd && (fd < 0 || at->epoll == epoll))
            return at;
    }
    return NULL;
}

static void add_registration(int epoll, int fd, const struct epoll_event *event)
{
    struct registration *at = find_registration(-1, -1), *next = &registrations[registration_count];
    if (!at && registration_count == REGISTRATIONS) {
        acceptor_unlisted();
        return;
    }
    if (!at)
        at = next;
    *at = (struct registration){.epoll = epoll, .fd = fd, .event = *event};
    if (at == next)
        __atomic_store_n(&registration_count, registration_count + 1, __ATOMIC_RELEASE);
}

static void note_event(struct registration *at, int epoll, int fd, const struct epoll_event *event)
{
    if (at)
        at->event = *event; /* hidden or not */
    else
        add_registration(epoll, fd, event);
}

static void remove_registration(struct registration *at)
{
    if (at)
        at->fd = -1;
}

/* As the kernel would answer. */
static int control_hidden(int operation, const struct epoll_event *event)
{
    if (operation == EPOLL_CTL_DEL || (operation == EPOLL_CTL_MOD && event))
        return 0;
    errno = operation == EPOLL_CTL_ADD ? EEXIST : EFAULT;
    return -1;
}

/* Locks against the handler in this thread as well. Returns what unlock_registrations is to be given. */
static bool lock_registrations(void)
{
    bool let = process_catch_signal();
    lock_take(&registrations_lock);
    return let;
}

static void unlock_registrations(bool let)
{
    lock_drop(&registrations_lock);
    if (let)
        process_let_signal();
}

int wait_control(int epoll, int operation, int fd, struct epoll_event *event)
{
    bool let = lock_registrations();
    struct registration *at = find_registration(epoll, fd);
    int result =
        at && at->hidden ? control_hidden(operation, event) : NEXT(epoll_ctl)(epoll, operation, fd, event);
    if (result == 0 && operation == EPOLL_CTL_DEL)
        remove_registration(at);
    else if (result == 0)
        note_event(at, epoll, fd, event);
    unlock_registrations(let);
    return result;
}

static __attribute__((noinline)) void forget_set(int epoll)
{
    bool let = lock_registrations();
    for (int i = 0; i < registration_count; i++) {
        if (registrations[i].epoll == epoll)
            registrations[i].fd = -1;
    }
    unlock_registrations(let);
}

void wait_closed(int epoll)
{
    if (PROCESS_UNLIKELY(wait_sees_epoll(epoll)))
        forget_set(epoll);
}

void wait_forked(void)
{
    registrations_lock = false;
}

static void hide(struct registration *at, bool hidden)
{
    if (at->hidden != hidden)
        syscall(SYS_epoll_ctl, at->epoll, hidden ? EPOLL_CTL_DEL : EPOLL_CTL_ADD, at->fd, &at->event);
    at->hidden = hidden;
}

static void hide_number(int fd, bool hidden)
{
    for (int i = 0; i < registration_count; i++) {
        if (registrations[i].fd == fd)
            hide(&registrations[i], hidden);
    }
}

void wait_replace(int fd, void (*replace)(int fd))
{
    lock_take(&registrations_lock);
    hide_number(fd, true);
    replace(fd);
    hide_number(fd, false);
    lock_drop(&registrations_lock);
}

/* The signal is held. */
static void hide_in_set(int epoll, bool hidden)
{
    lock_take(&registrations_lock);
    for (int i = 0; i < registration_count; i++) {
        if (registrations[i].fd >= 0 && registrations[i].epoll == epoll)
            hide(&registrations[i], hidden);
    }
    lock_drop(&registrations_lock);
}

static int step_epoll(struct wait *wait, bool hidden, const struct timespec *timeout, const sigset_t *mask)
{
    (void)hidden;
    /* Up to the next millisecond: 0 would be no wait at all. */
    int ms = !timeout ? -1 : (int)(timeout->tv_sec * 1000 + (timeout->tv_nsec + 999999) / 1000000);
    return NEXT(epoll_pwait)(wait->epoll, wait->events, wait->event_count, ms, mask);
}

static int strip_epoll(struct wait *wait, int count)
{
    int kept = 0;
    for (int i = 0; i < count; i++) {
        bool listener = false;
        for (int j = 0; j < registration_count; j++) {
            listener |= registrations[j].fd >= 0 && registrations[j].epoll == wait->epoll &&
                        registrations[j].event.data.u64 == wait->events[i].data.u64;
        }
        if (!listener)
            wait->events[kept++] = wait->events[i];
    }
    return kept;
}

bool wait_sees_epoll(int epoll)
{
    for (int i = 0; i < registration_count; i++) {
        if (registrations[i].fd >= 0 && registrations[i].epoll == epoll)
            return true;
    }
    return false;
}

int wait_epoll(int epoll, struct epoll_event *events, int size, const struct timespec *timeout,
               const sigset_t *mask)
{
    struct wait wait;
    wait.step = step_epoll;
    wait.strip = strip_epoll;
    wait.listens = true;
    wait.epoll = epoll;
    wait.events = events;
    wait.event_count = size;
    return run(&wait, timeout, mask);
}
