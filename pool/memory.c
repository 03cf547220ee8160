/* How many workers memory allows; see memory.h. */
#include "pool/memory.h"

#define GROW_PART(limit) ((limit) / 10 * 9)
#define GIVE_PART(limit) ((limit) / 20 * 19)

int64_t memory_ceiling(const struct memory *memory, int64_t workers, int64_t needed)
{
    uint64_t room = GROW_PART(memory->limit), worker = memory->worker ? memory->worker : 1;
    if (memory->used >= GIVE_PART(memory->limit))
        return needed < workers ? needed : workers;
    if (memory->used >= room)
        return workers;
    uint64_t more = (room - memory->used) / worker;
    return more < INT32_MAX ? workers + (int64_t)more : INT64_MAX;
}
