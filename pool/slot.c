/* The states x steps table of a worker slot; see slot.h. */
#include "pool/slot.h"

#include "pool/assert.h"

/* 0 (EMPTY) is reached by EXIT alone, so a 0 under any other step means "no such move". */
static const enum slot_state slot_moves[SLOT_STATES][SLOT_STEPS] = {
#define SLOT_MOVE(from, step, to) [SLOT_##from][SLOT_STEP_##step] = SLOT_##to,
#include "pool/slot.def"
};

static const char *const slot_names[] = {
#define SLOT_STATE(id, name) [SLOT_##id] = name,
#include "pool/slot.def"
};
_Static_assert(sizeof slot_names / sizeof *slot_names == SLOT_STATES, "a name for every state");

const char *slot_state_name(enum slot_state state)
{
    return slot_names[state];
}

void slot_init(struct slot *slot)
{
    *slot = (struct slot){.state = SLOT_EMPTY, .deadline_ms = NEVER_MS, .overdue_ms = NEVER_MS};
}

void slot_move(struct slot *slot, enum slot_step step, int64_t deadline_ms)
{
    ASSERT(step == SLOT_STEP_EXIT ? slot->state != SLOT_EMPTY : slot_moves[slot->state][step] != SLOT_EMPTY);
    if (step == SLOT_STEP_EXIT) {
        slot_init(slot);
        return;
    }
    slot->state = slot_moves[slot->state][step];
    slot->deadline_ms = deadline_ms;
}

bool slot_is_capacity(const struct slot *slot)
{
    return slot->state == SLOT_STARTING || slot->state == SLOT_SERVING;
}

bool slot_is_leaving(const struct slot *slot)
{
    return slot->state > SLOT_SERVING;
}

bool slot_is_due(const struct slot *slot)
{
    return slot->state == SLOT_SERVING && slot->due != REASON_NONE;
}

bool slot_is_given_up(const struct slot *slot)
{
    return slot->state == SLOT_KILLING && slot->deadline_ms == NEVER_MS;
}
