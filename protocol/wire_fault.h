/*
 * The reason codes of this folder: why bytes of a peer were refused (wire_fault.def).
 */
#ifndef FCGIPOOL_PROTOCOL_WIRE_FAULT_H
#define FCGIPOOL_PROTOCOL_WIRE_FAULT_H

enum wire_fault {
#define WIRE_FAULT(id, text) WIRE_FAULT_##id,
#include "protocol/wire_fault.def"
#undef WIRE_FAULT
    WIRE_FAULTS
};

/* What was wrong, a noun phrase without full stop; static. Any value is allowed. */
const char *wire_fault_text(enum wire_fault fault);

#endif
