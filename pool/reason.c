/* The words of reason.def. */
#include "pool/reason.h"

static const char *const reason_texts[REASONS] = {
#define REASON(id, text) [REASON_##id] = text,
#include "pool/reason.def"
#undef REASON
};

const char *reason_text(enum reason reason)
{
    return reason_texts[reason];
}
