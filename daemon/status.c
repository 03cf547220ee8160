/* The JSON of `status`; see status.h. */
#include "daemon/status.h"

#include "daemon/base/clock.h"
#include "daemon/base/unicode.h"
#include "daemon/kernel/memory.h"
#include "daemon/master.h"

#include <string.h>
#include <unistd.h>

static json_t *queue_json(const struct master *master)
{
    const struct bound *current = listeners_current(master);
    uint32_t queued, limit;
    if (listener_queue(&current->listener, &queued, &limit))
        return json_null();
    for (const struct bound *bound = NULL; (bound = listeners_next(&master->listeners, bound));)
        queued += bound != current ? listener_queued(&bound->listener) : 0;
    uint32_t peak = queued > master->load.queue_peak ? queued : master->load.queue_peak;
    return json_pack("{s:I,s:I,s:I}", "now", (json_int_t)queued, "limit", (json_int_t)limit, "peak",
                     (json_int_t)peak);
}

static json_t *address_json(const struct bound *bound)
{
    char address[ADDRESS_TEXT_SIZE];
    address_format(&bound->listener.address, address, sizeof address);
    return json_string(address);
}

/* Where the pool listens besides, for it moves. */
static json_t *others_json(const struct master *master)
{
    json_t *others = json_array();
    for (const struct bound *bound = NULL; (bound = listeners_next(&master->listeners, bound));)
        if (bound->place != master->policy.place)
            json_array_append_new(others, address_json(bound));
    return others;
}

static json_t *counters_json(const struct master *master)
{
    const struct stats *stats = &master->policy.stats;
    json_t *counters = json_object();
#define STAT(field, help) json_object_set_new(counters, #field, json_integer((json_int_t)stats->field));
#include "pool/stats.def"
#undef STAT
    json_object_set_new(counters, "all_busy", json_integer((json_int_t)master->load.all_busy));
    return counters;
}

/* ---- a worker ---- */

/* What a client sent, as text on one line; null when it is not known. */
static json_t *bytes_json(const char *bytes)
{
    char text[PAGE_URI + 1];
    size_t length = strlen(strcpy(text, bytes));
    unicode_make_printable(text, length);
    for (size_t i = 0; i < length; i++)
        if (text[i] == '\t')
            text[i] = '?';
    return length ? json_stringn(text, length) : json_null();
}

/* The request that has been in hand for the longest time; without one, the connection that waits for its
 * request. */
static json_t *current_json(const struct page_view *view, int64_t now_ms)
{
    const struct page_view_connection *oldest = page_view_oldest(view, PAGE_IN(PAGE_BUSY));
    if (!oldest)
        oldest = page_view_oldest(view, PAGE_IN(PAGE_CONNECTED));
    if (!oldest)
        return json_null();
    return json_pack("{s:s,s:o,s:o,s:I}",                                        //
                     "state", oldest->state == PAGE_BUSY ? "busy" : "connected", //
                     "method", bytes_json(oldest->method),                       //
                     "uri", bytes_json(oldest->uri),                             //
                     "age_ms", (json_int_t)(now_ms - (int64_t)(oldest->begun_ns / 1000000)));
}

static json_t *connections_json(const struct page_scan *scan)
{
    return json_pack("{s:I,s:I,s:I,s:I}",                                    //
                     "connected", (json_int_t)scan->numbers[PAGE_CONNECTED], //
                     "busy", (json_int_t)scan->numbers[PAGE_BUSY],           //
                     "finishing", (json_int_t)scan->numbers[PAGE_FINISHING], //
                     "kept", (json_int_t)scan->numbers[PAGE_KEPT]);
}

/* What only a worker with the library tells is null for the others. */
static void add_sight(json_t *json, const struct master *master, uint32_t index, int64_t now_ms)
{
    const struct worker *worker = &master->workers[index];
    uint64_t limit = policy_max_requests(&master->policy, index);
    bool tells = worker_tells(worker);
    struct page_view view;
    if (tells)
        requests_glance(worker, &view);
    json_object_set_new(json, "observe", json_string(tells ? "preload" : "kernel"));
    json_object_set_new(json, "requests", tells ? json_integer((json_int_t)view.scan.requests) : json_null());
    json_object_set_new(json, "max_requests", tells && limit ? json_integer((json_int_t)limit) : json_null());
    json_object_set_new(json, "current", tells ? current_json(&view, now_ms) : json_null());
    json_object_set_new(json, "connections", tells ? connections_json(&view.scan) : json_null());
}

static json_t *memory_json(const struct proc_table *processes, pid_t group)
{
    uint64_t bytes;
    return group && memory_resident(processes, group, &bytes) == 0 ? json_integer((json_int_t)bytes)
                                                                   : json_null();
}

static json_t *worker_json(const struct master *master, const struct proc_table *processes, uint32_t index,
                           int64_t now_ms)
{
    const struct slot *slot = &master->policy.slots[index];
    pid_t pid = master->workers[index].pid;
    json_t *json = json_pack("{s:i,s:I,s:I,s:o,s:s,s:I}",                  //
                             "slot", (int)index,                           //
                             "incarnation", (json_int_t)slot->incarnation, //
                             "generation", (json_int_t)slot->generation,   //
                             "pid", pid ? json_integer(pid) : json_null(), //
                             "state", slot_state_name(slot->state),        //
                             "age_ms", (json_int_t)(now_ms - slot->spawned_ms));
    add_sight(json, master, index, now_ms);
    json_object_set_new(json, "memory", memory_json(processes, pid));
    return json;
}

static json_t *workers_json(const struct master *master)
{
    json_t *workers = json_array();
    int64_t now_ms = clock_now_ms();
    __attribute__((cleanup(proc_table_fini))) struct proc_table processes = PROC_TABLE_INIT;
    int unknown = proc_table_read(&processes);
    (void)unknown; /* then the table is empty, and nobody has any memory */
    for (uint32_t i = 0; i < master->policy.slot_count; i++)
        if (master->policy.slots[i].state != SLOT_EMPTY)
            json_array_append_new(workers, worker_json(master, &processes, i, now_ms));
    return workers;
}

/* ---- the pool ---- */

/* Milliseconds with three places. */
static json_t *percentile_json(const struct latency *service, unsigned permille)
{
    return json_real((double)latency_percentile(service, permille) / 1000.0);
}

static json_t *service_json(const struct latency *service)
{
    if (latency_count(service) == 0)
        return json_null();
    return json_pack("{s:o,s:o,s:o}", "p50", percentile_json(service, 500), "p90",
                     percentile_json(service, 900), "p99", percentile_json(service, 990));
}

static void add_work(json_t *json, const struct master *master)
{
    const struct tally *tally = &master->requests.tally;
    struct latency served, recent;
    uint64_t total = requests_total(master, &served);
    uint64_t shown = master->requests.before + total;
    tally_recent(tally, &served, &recent);
    json_object_set_new(json, "requests", json_integer((json_int_t)shown));
    json_object_set_new(json, "rate",
                        json_real((double)tally_rate_milli(tally, total, clock_now_ms()) / 1000.0));
    json_object_set_new(json, "service_ms", service_json(&recent));
}

json_t *status_json(const struct master *master)
{
    const struct policy *policy = &master->policy;
    int64_t low, high;
    policy_scale_range(policy, &low, &high);
    json_t *json = json_pack("{s:i,s:s,s:i,s:s,s:s,s:o,s:o,s:I,s:I,s:I,s:I,s:I,s:b,s:b,s:o,s:o,s:o,s:I}", //
                             "v", 1,                                                                      //
                             "name", master->name,                                                        //
                             "pid", (int)getpid(),                                                        //
                             "state", pool_state_name(policy->state),                                     //
                             "file", conf_file(master->conf),                                             //
                             "listen", address_json(listeners_current(master)),                           //
                             "listen_besides", others_json(master),                                       //
                             "generation", (json_int_t)policy->generation,                                //
                             "wanted", (json_int_t)policy->wanted,                                        //
                             "floor", (json_int_t)policy->floor,                                          //
                             "min", (json_int_t)policy->settings->workers_min,                            //
                             "max", (json_int_t)policy->settings->workers_max,                            //
                             "saturated", policy->saturation.lasts,                                       //
                             "memory_short", master->guard.tight,                                         //
                             "queue", queue_json(master),                                                 //
                             "counters", counters_json(master),                                           //
                             "workers", workers_json(master),                                             //
                             "orphans", (json_int_t)master->orphans.left);
    add_work(json, master);
    json_object_set_new(json, "reload", reload_json(master));
    json_t *second = inherit_json(master);
    json_object_set_new(json, "upgrade", second ? second : upgrade_json(master));
    return json;
}

json_t *status_totals_json(const struct master *master)
{
    struct latency served;
    uint64_t total = master->requests.before + requests_total(master, &served);
    return json_pack("{s:o,s:I}", "counters", counters_json(master), "requests", (json_int_t)total);
}
