/* The echo contract over FastCGI, one connection at a time, with nothing but the C library. */
#include "plain.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static bool put(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t done = send(fd, bytes, size, MSG_NOSIGNAL);
        if (done < 0 && errno != EINTR)
            return false;
        if (done > 0) {
            bytes += done;
            size -= (size_t)done;
        }
    }
    return true;
}

static bool answer(int fd, struct plain *plain)
{
    bool whole = true;
    for (unsigned number = 0; number < CONTRACT_PIECES; number++) {
        size_t size;
        contract_wait(plain_wait_ms(plain, number));
        char *piece = plain_piece(plain, number, &size);
        whole = whole && put(fd, piece, size);
        free(piece);
    }
    return whole;
}

static void serve(int fd)
{
    struct plain plain;
    uint8_t in[16384];
    ssize_t got;
    bool more = true;
    plain_init(&plain);
    while (more && ((got = read(fd, in, sizeof in)) > 0 || (got < 0 && errno == EINTR))) {
        struct bytes input = {in, got > 0 ? (size_t)got : 0};
        while (more && plain_feed(&plain, &input))
            more = answer(fd, &plain) && plain.keep;
        more = more && !plain.broken;
    }
    plain_fini(&plain);
    close(fd);
}

int main(void)
{
    for (;;) {
        int fd = accept(STDIN_FILENO, NULL, NULL);
        if (fd >= 0)
            serve(fd);
        else if (errno != EINTR && errno != ECONNABORTED)
            return 0; /* the pool stops */
    }
}
