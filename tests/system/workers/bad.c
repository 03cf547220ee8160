/*
 * Workers that misbehave: bad MODE [ARGUMENT]. Most serve the echo contract once their mischief is done.
 */
#include "answer.h"
#include "contract.h"
#include "scribble.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long argument;
static const char *text; /* the same, as it was given */

static void hang(void)
{
    for (;;)
        pause();
}

static void write_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t done = write(fd, bytes, size);
        if (done < 0)
            _exit(9);
        bytes += done;
        size -= (size_t)done;
    }
}

/* The accept loop that the modes share. `before` may spoil a request before it is answered. */
static void serve(void (*before)(const char *query), void (*after)(void))
{
    FCGX_Request request;
    FCGX_Init();
    FCGX_InitRequest(&request, 0, 0);
    while (FCGX_Accept_r(&request) == 0) {
        if (before)
            before(FCGX_GetParam("QUERY_STRING", request.envp));
        answer(&request);
        FCGX_Finish_r(&request);
        if (after)
            after();
    }
}

/* Leaves at once, with the exit code that is asked for. */
static void exit_now(void)
{
    exit((int)argument);
}

/* Dies of a signal at start. */
static void crash(void)
{
    raise(SIGSEGV);
}

/* Lives, and never takes a connection. */
static void never_accept(void)
{
    hang();
}

/* Throws the listener away, and lives. */
static void close_listener(void)
{
    close(0);
    hang();
}

/* Heeds nothing but KILL. */
static void ignore_signals(void)
{
    const int signals[] = {SIGTERM, SIGINT, SIGQUIT, SIGABRT, SIGHUP, SIGUSR1, SIGUSR2, SIGURG};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        signal(signals[i], SIG_IGN);
    answer_all();
    hang();
}

/* Its children hold the listener and outlive it. `argument` is how many there are. */
static void fork_children(void)
{
    for (long i = 0; i < argument; i++)
        if (fork() == 0) {
            signal(SIGTERM, SIG_IGN);
            hang();
        }
    answer_all();
}

/* Goes to the background: what the master started ends with 0, a stranger goes on serving. */
static void daemonize(void)
{
    int ends[2];
    char unused;
    if (pipe(ends) != 0)
        _exit(1);
    if (fork() > 0) {
        /* The master ends who is in our group still. */
        close(ends[1]);
        (void)!read(ends[0], &unused, 1);
        _exit(0);
    }
    setsid();
    close(ends[0]);
    close(ends[1]);
    answer_all();
}

/* Writes lines of 128 bytes to standard error. */
static void flood(long megabytes)
{
    static char line[64 << 10];
    for (size_t i = 0; i < sizeof line; i++)
        line[i] = i % 128 == 127 ? '\n' : 'f';
    for (long i = 0; i < megabytes * 16; i++)
        write_all(2, line, sizeof line);
}

/* Writes `argument` MiB to its standard error, then serves. */
static void stderr_flood(void)
{
    flood(argument);
    answer_all();
}

static long elapsed_ms(const struct timespec *since)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - since->tv_sec) * 1000 + (now.tv_nsec - since->tv_nsec) / 1000000;
}

/* One of chatter's lines: "line PID NUMBER xxx end", now and then in two pieces. */
static void chatter_line(long number)
{
    char line[512];
    int size = snprintf(
        line, sizeof line, "line %ld %ld %.*s end\n", (long)getpid(), number, (int)(number % 97),
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    size_t first = number % 10 ? (size_t)size : (size_t)size / 2;
    write_all(2, line, first);
    write_all(2, line + first, (size_t)size - first);
}

/* A child writes `argument` numbered lines a second until there is a file "enough", and then "done PID
 * NUMBER". */
static void chatter(void)
{
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    if (fork() == 0) {
        char line[64];
        long number = 0;
        close(0);
        while (access("enough", F_OK) != 0) {
            for (long due = elapsed_ms(&start) * argument / 1000; number < due;)
                chatter_line(++number);
            contract_wait(2);
        }
        write_all(2, line, (size_t)snprintf(line, sizeof line, "done %ld %ld\n", (long)getpid(), number));
        hang();
    }
    answer_all();
}

/* Lines of every sort: whole, in halves, empty, too long, binary, and one that has no end. */
static void stderr_lines(void)
{
    static const char binary[] = "binary \0 \1 \33[31m \377 end\n";
    static char length[100000];
    memset(length, 'L', sizeof length);
    length[sizeof length - 1] = '\n';
    write_all(2, "first line\nsecond line\n", 23);
    write_all(2, "one ", 4);
    contract_wait(50);
    write_all(2, "half\n\n", 6);
    write_all(2, length, sizeof length);
    write_all(2, binary, sizeof binary - 1);
    write_all(1, "from stdout\n", 12);
    write_all(2, "no end", 6);
    answer_all();
}

/* Dies of a signal in the midst of a request that has `crash` in its query. */
static void crash_if_asked(const char *query)
{
    if (contract_flag(query, "crash"))
        raise(SIGSEGV);
}

static void crash_on_request(void)
{
    serve(crash_if_asked, NULL);
}

/* Leaves of its own free will after `argument` requests, as php-cgi does. */
static void leave_after(void)
{
    FCGX_Request request;
    FCGX_Init();
    FCGX_InitRequest(&request, 0, 0);
    for (long served = 0; served < argument && FCGX_Accept_r(&request) == 0; served++) {
        answer(&request);
        FCGX_Finish_r(&request);
    }
}

/* A request with "flood" in its query writes that many MiB to standard error before it is answered. */
static void flood_if_asked(const char *query)
{
    flood(contract_number(query, "flood"));
}

static void flood_on_request(void)
{
    serve(flood_if_asked, NULL);
}

/* Takes `argument` ms to come up. */
static void slow_start(void)
{
    contract_wait(argument);
    answer_all();
}

/* Waits with poll before it accepts, as event loops do. */
static void poll_first(void)
{
    FCGX_Request request;
    FCGX_Init();
    FCGX_InitRequest(&request, 0, 0);
    struct pollfd waited = {.fd = 0, .events = POLLIN};
    while (poll(&waited, 1, -1) != 0 && FCGX_Accept_r(&request) == 0) {
        answer(&request);
        FCGX_Finish_r(&request);
    }
}

/* The same with epoll. */
static void epoll_first(void)
{
    FCGX_Request request;
    FCGX_Init();
    FCGX_InitRequest(&request, 0, 0);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &event) != 0)
        exit(1);
    while (epoll_wait(epoll, &event, 1, -1) != 0 && FCGX_Accept_r(&request) == 0) {
        answer(&request);
        FCGX_Finish_r(&request);
    }
}

/* Waits in epoll_wait in a request, for "pause" ms, and takes an interruption for a reason to die, as many
 * programs do: SIGSTOP and SIGCONT are one. */
static int nothing;

static void wait_if_asked(const char *query)
{
    struct epoll_event event;
    long pause_ms = contract_number(query, "pause");
    if (pause_ms && epoll_wait(nothing, &event, 1, (int)pause_ms) < 0)
        _exit(1);
}

static void fragile(void)
{
    nothing = epoll_create1(0);
    serve(wait_if_asked, NULL);
}

/* Puts a listening socket of its own, at a path, in the place of the pool's. */
static void other_listener(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", text);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 8) != 0 ||
        dup2(fd, 0) < 0)
        exit(1);
    close(fd);
    hang();
}

/* Rests for `argument` ms after each request, with nothing in hand and not in accept. */
static void rest(void)
{
    contract_wait(argument);
}

static void rest_between(void)
{
    serve(NULL, rest);
}

/* Writes `argument` KiB to its standard error in each request, before it answers. */
static void write_lines(const char *unused)
{
    static char line[1024];
    (void)unused;
    memset(line, 'e', sizeof line);
    line[sizeof line - 1] = '\n';
    for (long i = 0; i < argument; i++)
        write_all(2, line, sizeof line);
}

static void stderr_each(void)
{
    serve(write_lines, NULL);
}

/* Keeps `argument` KiB more for ever with each request. */
static void grow(const char *unused)
{
    size_t size = (size_t)argument * 1024;
    char *memory = malloc(size);
    (void)unused;
    if (!memory)
        abort();
    memset(memory, 'l', size);
    __asm__ volatile("" : : "r"(memory) : "memory"); /* for the compiler must not think it useless */
}

/* The same once, before it serves. */
static void fat(void)
{
    grow(NULL);
    serve(NULL, NULL);
}

static void leak(void)
{
    serve(grow, NULL);
}

/* Computes for "burn" ms, in a function that a stack trace can name. */
__attribute__((noinline)) void burn_here(long ms);
void burn_here(long ms)
{
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    while (elapsed_ms(&start) < ms)
        ;
}

static void burn_if_asked(const char *query)
{
    burn_here(contract_number(query, "burn"));
}

static void burn(void)
{
    serve(burn_if_asked, NULL);
}

/* Overwrites its page `argument` times a second while it serves; the other does the same to the pool's. */
static void scribble(void)
{
    if (!scribble_start(false, argument))
        exit(1);
    answer_all();
}

static void scribble_pool(void)
{
    if (!scribble_start(true, argument))
        exit(1);
    answer_all();
}

static const struct {
    const char *name;
    void (*run)(void);
} modes[] = {
    {"exit", exit_now},
    {"crash", crash},
    {"never-accept", never_accept},
    {"close-listener", close_listener},
    {"ignore-signals", ignore_signals},
    {"fork-children", fork_children},
    {"daemonize", daemonize},
    {"stderr-flood", stderr_flood},
    {"stderr-lines", stderr_lines},
    {"chatter", chatter},
    {"flood-on-request", flood_on_request},
    {"other-listener", other_listener},
    {"rest-between", rest_between},
    {"stderr-each", stderr_each},
    {"fat", fat},
    {"leak", leak},
    {"burn", burn},
    {"scribble", scribble},
    {"scribble-pool", scribble_pool},
    {"crash-on-request", crash_on_request},
    {"leave-after", leave_after},
    {"slow-start", slow_start},
    {"poll", poll_first},
    {"epoll", epoll_first},
    {"fragile", fragile},
};

int main(int argc, char **argv)
{
    text = argc > 2 ? argv[2] : "";
    argument = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (argc > 1 && strcmp(argv[1], modes[i].name) == 0) {
            modes[i].run();
            return 0;
        }
    fprintf(stderr, "usage: bad MODE [ARGUMENT]; modes:");
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        fprintf(stderr, " %s", modes[i].name);
    fprintf(stderr, "\n");
    return 64;
}
