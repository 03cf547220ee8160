/* The texts of the reason codes; see wire_fault.h. */
#include "protocol/wire_fault.h"

static const char *const texts[] = {
#define WIRE_FAULT(id, text) [WIRE_FAULT_##id] = text,
#include "protocol/wire_fault.def"
#undef WIRE_FAULT
};

const char *wire_fault_text(enum wire_fault fault)
{
    return (unsigned)fault < WIRE_FAULTS ? texts[fault] : "an unknown fault";
}
