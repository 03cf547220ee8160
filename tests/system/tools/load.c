/*
 * The counted load generator: N clients, each sending one request after the other; every request is accounted
 * for.
 *
 *   load (--http HOST:PORT | --fastcgi ADDRESS | --scgi ADDRESS) [--clients N] [--requests N] [--seconds S]
 *        [--keep] [--rate N] [--mix SPEC] [--prefix URI] [--script FILE] [--timeout-ms N] [--connect-ms N]
 *        [--times FILE]
 *
 * SPEC is a list of "METHOD:SIZE[?QUERY][*WEIGHT]". Without --requests and --seconds it goes on until SIGTERM
 * or SIGINT; then every client finishes the request that it has begun. With --rate all clients together begin
 * that many requests a second at most. With --keep a FastCGI connection is used as long as the other side
 * lets it: a request that meets its end is sent again on a new one, as web servers do, and counted as
 * "stale", or "stale_posts". With --times FILE gets a line for each right answer, as they come: its request's
 * start and latency in microseconds, the start since that of the load, and the worker's pid. Prints one line
 * of JSON every 50 ms, the last with "done":true. "refused" never connected (legitimate after a stop); "lost"
 * was connected and got no right answer; sent = ok + lost. Exits 0 when none was lost and none refused,
 * else 1.
 */
#include "exchange.h"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SHOTS   64
#define ROUND   256
#define REASONS 64
#define PIDS    4096
#define REST_MS 5 /* pause of a client that was refused */

static struct target target = {.wire = WIRE_HTTP, .connect_ms = 10000, .answer_ms = 60000};
static struct shot shots[SHOTS];
static const struct shot *mix[ROUND]; /* one round, weights unfolded */
static size_t mix_size;
static int64_t request_limit = INT64_MAX;

static atomic_int stopping;
static double rate; /* 0: as fast as it goes */
static int64_t begin_us;
static atomic_int_least64_t tickets, right, refused, lost, stale, stale_posts, connections, slowest_ms;
static atomic_int running;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    char text[160];
    int64_t count;
} reasons[REASONS]; /* under the lock, as are the workers */
static size_t reason_count;
static struct {
    int pid;
    int64_t answers;
} workers[PIDS];
static size_t worker_count;
static FILE *times; /* NULL: none wanted */

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void rest(int ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

static void on_signal(int signal)
{
    (void)signal;
    atomic_store(&stopping, 1);
}

static void note_reason(const char *what, const char *why)
{
    char text[160];
    snprintf(text, sizeof text, "%s: %s", what, why);
    pthread_mutex_lock(&lock);
    size_t i = 0;
    while (i < reason_count && strcmp(reasons[i].text, text) != 0)
        i++;
    if (i == reason_count && reason_count < REASONS)
        snprintf(reasons[reason_count++].text, sizeof text, "%s", text);
    if (i < reason_count)
        reasons[i].count++;
    pthread_mutex_unlock(&lock);
}

static void note_answer(int pid, int64_t start_us, int64_t latency_us)
{
    pthread_mutex_lock(&lock);
    size_t i = 0;
    while (i < worker_count && workers[i].pid != pid)
        i++;
    if (i == worker_count && worker_count < PIDS)
        workers[worker_count++].pid = pid;
    if (i < worker_count)
        workers[i].answers++;
    if (times)
        fprintf(times, "%lld %lld %d\n", (long long)(start_us - begin_us), (long long)latency_us, pid);
    pthread_mutex_unlock(&lock);
}

static void note_time(int64_t ms)
{
    int64_t worst = atomic_load(&slowest_ms);
    while (ms > worst && !atomic_compare_exchange_weak(&slowest_ms, &worst, ms))
        ;
}

/* Until the ticket's time has come, or the end. */
static void wait_turn(int64_t ticket)
{
    int64_t due_us = rate > 0 ? begin_us + (int64_t)((double)ticket * 1000000 / rate) : 0;
    while (!atomic_load(&stopping) && now_us() < due_us)
        rest(1);
}

/* A request, again as long as it meets the end of a kept connection. */
static enum outcome ask(const struct shot *shot, struct line *line, const char **ret_reason, int *ret_pid)
{
    for (;;) {
        if (line->fd < 0)
            atomic_fetch_add(&connections, 1);
        enum outcome outcome = exchange(&target, shot, line, ret_reason, ret_pid);
        if (outcome != OUTCOME_STALE)
            return outcome;
        atomic_fetch_add(strncmp(shot->name, "POST", 4) == 0 ? &stale_posts : &stale, 1);
    }
}

static void *client(void *unused)
{
    (void)unused;
    struct line line = {.fd = -1};
    while (!atomic_load(&stopping)) {
        int64_t ticket = atomic_fetch_add(&tickets, 1);
        if (ticket >= request_limit)
            break;
        wait_turn(ticket);
        if (atomic_load(&stopping))
            break;
        const struct shot *shot = mix[(size_t)ticket % mix_size];
        const char *reason = NULL;
        int pid = 0;
        int64_t start_us = now_us();
        enum outcome outcome = ask(shot, &line, &reason, &pid);
        int64_t latency_us = now_us() - start_us;
        switch (outcome) {
        case OUTCOME_RIGHT:
            atomic_fetch_add(&right, 1);
            note_answer(pid, start_us, latency_us);
            note_time(latency_us / 1000);
            break;
        case OUTCOME_REFUSED:
            atomic_fetch_add(&refused, 1);
            note_reason("refused", reason);
            rest(REST_MS);
            break;
        case OUTCOME_STALE: /* ask() gives nobody up for that */
        case OUTCOME_LOST:
            atomic_fetch_add(&lost, 1);
            note_reason(shot->name, reason);
            break;
        }
    }
    line_close(&line);
    free(line.reply.bytes);
    atomic_fetch_sub(&running, 1);
    return NULL;
}

/* Reason texts are ours and need no escapes. Who answered is told at the end only: in a long run those are
 * many. */
static void report(bool done)
{
    int64_t ok = atomic_load(&right), gone = atomic_load(&lost);
    printf(
        "{\"open\":%d,\"sent\":%lld,\"ok\":%lld,\"lost\":%lld,\"refused\":%lld,\"elapsed_ms\":%lld,\"slowest_ms\":%lld,"
        "\"stale\":%lld,\"stale_posts\":%lld,\"connections\":%lld",
        atomic_load(&exchanges_open), (long long)(ok + gone), (long long)ok, (long long)gone,
        (long long)atomic_load(&refused), (long long)((now_us() - begin_us) / 1000),
        (long long)atomic_load(&slowest_ms), (long long)atomic_load(&stale),
        (long long)atomic_load(&stale_posts), (long long)atomic_load(&connections));
    pthread_mutex_lock(&lock);
    printf(",\"reasons\":{");
    for (size_t i = 0; i < reason_count; i++)
        printf("%s\"%s\":%lld", i ? "," : "", reasons[i].text, (long long)reasons[i].count);
    printf("},\"answers\":{");
    for (size_t i = 0; done && i < worker_count; i++)
        printf("%s\"%d\":%lld", i ? "," : "", workers[i].pid, (long long)workers[i].answers);
    pthread_mutex_unlock(&lock);
    printf("},\"done\":%s}\n", done ? "true" : "false");
    fflush(stdout);
}

/* Every kind of request is spread over the round, so that a short run sees them all. */
static bool make_mix(char *spec, const struct shot_form *form)
{
    size_t count = 0;
    for (char *word = strtok(spec, ","); word; word = strtok(NULL, ","), count++)
        if (count == SHOTS || !shot_make(word, form, 7 * count, &shots[count]))
            return false;
    for (unsigned turn = 0, added = 1; added; turn++) {
        added = 0;
        for (size_t i = 0; i < count && mix_size < ROUND; i++)
            if (turn < shots[i].weight) {
                mix[mix_size++] = &shots[i];
                added++;
            }
    }
    return mix_size > 0;
}

static int usage(const char *why)
{
    fprintf(stderr,
            "load: %s\nusage: load (--http HOST:PORT | --fastcgi ADDRESS | --scgi ADDRESS) [--clients N]"
            " [--requests N] [--seconds S] [--keep] [--rate N]"
            " [--mix SPEC] [--prefix URI] [--script FILE] [--timeout-ms N] [--connect-ms N]"
            " [--times FILE]\n",
            why);
    return 64;
}

static int run(long clients, double seconds)
{
    pthread_t *threads = calloc((size_t)clients, sizeof *threads);
    if (!threads)
        return 70;
    begin_us = now_us();
    long started = 0;
    for (; started < clients; started++) {
        atomic_fetch_add(&running, 1);
        if (pthread_create(&threads[started], NULL, client, NULL) != 0) {
            atomic_fetch_sub(&running, 1);
            break;
        }
    }
    for (int64_t next_ms = 0; atomic_load(&running) > 0; rest(2)) {
        int64_t age_ms = (now_us() - begin_us) / 1000;
        if (seconds > 0 && age_ms >= (int64_t)(seconds * 1000))
            atomic_store(&stopping, 1);
        if (age_ms >= next_ms) {
            report(false);
            next_ms = age_ms + 50;
        }
    }
    for (long i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    report(true);
    free(threads);
    return atomic_load(&lost) || atomic_load(&refused) || started < clients ? 1 : 0;
}

int main(int argc, char **argv)
{
    const char *address = NULL;
    struct shot_form form = {.prefix = "", .script = "/x"};
    char default_mix[] = "GET:0,POST:1,GET:65536,POST:65536", *spec = default_mix;
    long clients = 8;
    double seconds = 0;
    static const struct option options[] = {
        {"http", required_argument, NULL, 'h'},
        {"fastcgi", required_argument, NULL, 'f'},
        {"scgi", required_argument, NULL, 'g'},
        {"clients", required_argument, NULL, 'c'},
        {"requests", required_argument, NULL, 'n'},
        {"seconds", required_argument, NULL, 's'},
        {"mix", required_argument, NULL, 'm'},
        {"prefix", required_argument, NULL, 'p'},
        {"script", required_argument, NULL, 'S'},
        {"timeout-ms", required_argument, NULL, 't'},
        {"connect-ms", required_argument, NULL, 'C'},
        {"keep", no_argument, NULL, 'k'},
        {"rate", required_argument, NULL, 'r'},
        {"times", required_argument, NULL, 'T'},
        {0},
    };
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (option) {
        case 'h':
            address = optarg;
            break;
        case 'f':
            address = optarg;
            target.wire = WIRE_FASTCGI;
            break;
        case 'g':
            address = optarg;
            target.wire = WIRE_SCGI;
            break;
        case 'c':
            clients = strtol(optarg, NULL, 10);
            break;
        case 'n':
            request_limit = strtoll(optarg, NULL, 10);
            break;
        case 's':
            seconds = strtod(optarg, NULL);
            break;
        case 'm':
            spec = optarg;
            break;
        case 'p':
            form.prefix = optarg;
            break;
        case 'S':
            form.script = optarg;
            break;
        case 't':
            target.answer_ms = (int)strtol(optarg, NULL, 10);
            break;
        case 'C':
            target.connect_ms = (int)strtol(optarg, NULL, 10);
            break;
        case 'k':
            target.keep = form.keep = true;
            break;
        case 'r':
            rate = strtod(optarg, NULL);
            break;
        case 'T':
            times = fopen(optarg, "we");
            if (!times)
                return usage("the file for --times cannot be written");
            break;
        default:
            return usage("unknown option");
        }
    if (!address || optind != argc || clients < 1 || !target_parse(address, &target))
        return usage("bad address or operand");
    form.wire = target.wire;
    if (form.keep && form.wire != WIRE_FASTCGI)
        return usage("only FastCGI connections are kept");
    if (!make_mix(spec, &form))
        return usage("bad mix");
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    int code = run(clients, seconds);
    if (times && fclose(times) != 0)
        code = 74;
    for (size_t i = 0; i < SHOTS; i++)
        shot_fini(&shots[i]);
    return code;
}
