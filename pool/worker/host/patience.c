/* Accepting again; see patience.h. */
#include "pool/worker/host/patience.h"

#include <errno.h>
#include <time.h>

#define SHORTAGE_NS 10000000

bool patience_has(int error)
{
    static const struct timespec pause = {.tv_nsec = SHORTAGE_NS};
    if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM || error == EAGAIN) {
        (void)nanosleep(&pause, NULL);
        return true;
    }
    return error == EINTR || error == ECONNABORTED || error == EPROTO;
}
