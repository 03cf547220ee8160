/*
 * A user's own library that makes calls before the one that is tested has been set up (linked with -z
 * initfirst). The worker ends with 9 when one of them does not what it should.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* The first one is the one that finds nothing set up. */
__attribute__((constructor)) static void call(void)
{
    char bytes[8];
    int ends[2], copy = fcntl(0, F_DUPFD, 50);
    if (copy < 50 || close(copy) < 0 || pipe(ends) < 0 || write(ends[1], "early", 5) != 5 ||
        read(ends[0], bytes, sizeof bytes) != 5 || memcmp(bytes, "early", 5) != 0 || close(ends[0]) < 0 ||
        close(ends[1]) < 0)
        _exit(9);
}
