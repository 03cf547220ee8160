/* What is going to happen, as a heap; see agenda.h. */
#include "daemon/simulate/agenda.h"

#include "daemon/base/memory.h"
#include "pool/assert.h"

static bool comes_before(const struct agenda_entry *a, const struct agenda_entry *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->serial < b->serial;
}

static void swap(struct agenda_entry *a, struct agenda_entry *b)
{
    struct agenda_entry other = *a;
    *a = *b;
    *b = other;
}

void agenda_add(struct agenda *agenda, int64_t at_us, int what, uint32_t slot, uint64_t life)
{
    if (agenda->count == agenda->room) {
        agenda->room = 2 * agenda->room + 64;
        agenda->heap = memory_must(reallocarray(agenda->heap, agenda->room, sizeof *agenda->heap));
    }
    size_t i = agenda->count++;
    agenda->heap[i] = (struct agenda_entry){
        .at_us = at_us, .serial = agenda->serials++, .what = what, .slot = slot, .life = life};
    for (; i && comes_before(&agenda->heap[i], &agenda->heap[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&agenda->heap[i], &agenda->heap[(i - 1) / 2]);
}

int64_t agenda_next(const struct agenda *agenda)
{
    return agenda->count ? agenda->heap[0].at_us : AGENDA_NEVER;
}

static void sink(struct agenda *agenda)
{
    for (size_t i = 0, child; (child = 2 * i + 1) < agenda->count; i = child) {
        if (child + 1 < agenda->count && comes_before(&agenda->heap[child + 1], &agenda->heap[child]))
            child++;
        if (!comes_before(&agenda->heap[child], &agenda->heap[i]))
            return;
        swap(&agenda->heap[child], &agenda->heap[i]);
    }
}

struct agenda_entry agenda_take(struct agenda *agenda)
{
    ASSERT(agenda->count);
    struct agenda_entry first = agenda->heap[0];
    agenda->heap[0] = agenda->heap[--agenda->count];
    sink(agenda);
    return first;
}

void agenda_fini(struct agenda *agenda)
{
    free(agenda->heap);
    *agenda = (struct agenda){0};
}
