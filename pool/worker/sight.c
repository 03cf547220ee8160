/* Which protocol it is, and what stands at the end of it; see sight.h. */
#include "pool/worker/sight.h"

#include "pool/worker/hot.h"
#include "pool/worker/sight_parts.h"
#include "protocol/fcgi.h"

void sight_init(struct sight *sight)
{
    memset(sight, 0, offsetof(struct sight, lengths));
    forget_request(sight);
}

bool sight_keeps(const struct sight *sight)
{
    return sight->keeps;
}

bool sight_manages(const struct sight *sight)
{
    return sight->protocol == PROTOCOL_FCGI && sight->open == 0;
}

bool sight_rests(const struct sight *sight)
{
    return sight->keeps && sight->open == 0 && sight->in.gathered == 0 && sight->in.left == 0;
}

unsigned sight_missed(struct sight *sight)
{
    return sight->protocol == PROTOCOL_DONE ? 0 : give_up(sight);
}

/* What is not known to be FastCGI. */
static HOT __attribute__((noinline)) unsigned read_unknown(struct sight *sight, const uint8_t *at,
                                                           size_t size)
{
    if (size == 0 || sight->protocol == PROTOCOL_DONE)
        return 0;
    if (sight->protocol == PROTOCOL_NONE) {
        if (*at == FCGI_VERSION) {
            sight->protocol = PROTOCOL_FCGI;
            return sight_fcgi_read(sight, at, size);
        }
        if (*at < '0' || *at > '9')
            return give_up(sight);
        sight->protocol = PROTOCOL_SCGI;
    }
    return sight_scgi_read(sight, at, size);
}

unsigned sight_read(struct sight *sight, const void *bytes, size_t size)
{
    return sight->protocol == PROTOCOL_FCGI ? sight_fcgi_read(sight, bytes, size)
                                            : read_unknown(sight, bytes, size);
}
