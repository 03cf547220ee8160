/* The echo contract over FCGI_Accept, the old stdio interface of libfcgi. */
#include "contract.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Last: it redefines stdio. */
#include <fcgi_stdio.h>

static char *make_body(const char *query, size_t *ret_size)
{
    const char *method = getenv("REQUEST_METHOD"), *length = getenv("CONTENT_LENGTH");
    if (!method || strcmp(method, "POST") != 0) {
        size_t size = (size_t)contract_number(query, "n");
        char *body = malloc(size + 1);
        if (body)
            contract_pattern(body, 0, size);
        *ret_size = size;
        return body;
    }
    size_t size = length ? strtoul(length, NULL, 10) : 0;
    char *body = malloc(size + 1);
    *ret_size = body ? fread(body, 1, size, stdin) : 0;
    return body;
}

int main(void)
{
    while (FCGI_Accept() >= 0) {
        const char *query = getenv("QUERY_STRING");
        size_t size;
        char *body = make_body(query, &size);
        if (!body)
            abort();
        contract_wait(contract_number(query, "delay"));
        printf("Content-Type: text/plain\r\nX-Pid: %d\r\n\r\n", (int)getpid());
        long slow_ms = contract_number(query, "slow");
        for (size_t piece = 0; piece < CONTRACT_PIECES; piece++) {
            size_t start = size * piece / CONTRACT_PIECES, end = size * (piece + 1) / CONTRACT_PIECES;
            fwrite(body + start, 1, end - start, stdout);
            if (slow_ms) {
                fflush(stdout);
                contract_wait(slow_ms / CONTRACT_PIECES);
            }
        }
        free(body);
    }
    return 0;
}
