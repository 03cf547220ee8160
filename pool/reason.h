/* Why the policy does something; see reason.def. */
#ifndef FCGIPOOL_POOL_REASON_H
#define FCGIPOOL_POOL_REASON_H

enum reason {
#define REASON(id, text) REASON_##id,
#include "pool/reason.def"
#undef REASON
    REASONS
};

/* For log and status, without a full stop. */
const char *reason_text(enum reason reason);

#endif
