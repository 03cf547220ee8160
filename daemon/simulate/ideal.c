/* What a trace asks for; see ideal.h. */
#include "daemon/simulate/ideal.h"

#include "daemon/base/memory.h"
#include "daemon/simulate/agenda.h"

/* A demand that was, and until when; those that are kept fall from the first to the last. */
struct past {
    int64_t until_us;
    uint32_t demand;
};

struct window {
    const struct settings *settings;
    struct past *past; /* owned */
    size_t first, count, room;
    uint32_t demand; /* now */
    struct ideal ideal;
};

static uint64_t within(const struct window *window, uint32_t demand)
{
    const struct settings *settings = window->settings;
    if (demand < settings->workers_min)
        return (uint64_t)settings->workers_min;
    return demand > settings->workers_max ? (uint64_t)settings->workers_max : demand;
}

static void note(struct window *window, int64_t now_us)
{
    while (window->count > window->first && window->past[window->count - 1].demand <= window->demand)
        window->count--;
    if (window->count == window->room) {
        window->room = 2 * window->room + 64;
        window->past = memory_must(reallocarray(window->past, window->room, sizeof *window->past));
    }
    window->past[window->count++] = (struct past){.until_us = now_us, .demand = window->demand};
    while (window->past[window->first].until_us + window->settings->idle_timeout_ms * 1000 < now_us)
        window->first++; /* ends at the one that was noted just now */
}

static void changes(struct window *window, int64_t now_us, uint32_t demand)
{
    note(window, now_us);
    uint64_t before = within(window, window->past[window->first].demand), after = within(window, demand);
    window->ideal.spawns += after > before ? after - before : 0;
    window->demand = demand;
    if (demand > window->ideal.peak)
        window->ideal.peak = demand;
}

void ideal_of(const struct trace *trace, const struct settings *settings, struct ideal *ret_ideal)
{
    struct window window = {.settings = settings};
    struct agenda ends = {0};
    double busy_us = 0;
    window.ideal.spawns = within(&window, 0);
    for (size_t i = 0; i < trace->count; i++) {
        const struct trace_request *request = &trace->items[i];
        while (agenda_next(&ends) <= request->at_us)
            changes(&window, agenda_take(&ends).at_us, window.demand - 1);
        changes(&window, request->at_us, window.demand + 1);
        agenda_add(&ends, request->at_us + request->service_us, 0, 0, 0);
        busy_us += (double)request->service_us;
    }
    window.ideal.mean = trace->end_us ? busy_us / (double)trace->end_us : 0;
    *ret_ideal = window.ideal;
    agenda_fini(&ends);
    free(window.past);
}
