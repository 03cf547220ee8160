/* The echo contract over FCGX. */
#include "answer.h"

#include "contract.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A POST whose body ends early is answered with what came: the client sees the difference. */
static char *make_body(FCGX_Request *request, const char *query, size_t *ret_size)
{
    const char *method = FCGX_GetParam("REQUEST_METHOD", request->envp);
    if (!method || strcmp(method, "POST") != 0) {
        size_t size = (size_t)contract_number(query, "n");
        char *body = malloc(size + 1);
        if (body)
            contract_pattern(body, 0, size);
        *ret_size = size;
        return body;
    }
    const char *length = FCGX_GetParam("CONTENT_LENGTH", request->envp);
    size_t size = length ? strtoul(length, NULL, 10) : 0;
    char *body = malloc(size + 1);
    *ret_size = 0;
    while (body && *ret_size < size) {
        int got = FCGX_GetStr(body + *ret_size, (int)(size - *ret_size), request->in);
        if (got <= 0)
            break;
        *ret_size += (size_t)got;
    }
    return body;
}

void answer(FCGX_Request *request)
{
    const char *query = FCGX_GetParam("QUERY_STRING", request->envp);
    size_t size;
    char *body = make_body(request, query, &size);
    if (!body)
        abort();
    contract_wait(contract_number(query, "delay"));
    FCGX_FPrintF(request->out, "Content-Type: text/plain\r\nX-Pid: %d\r\n\r\n", (int)getpid());
    long slow_ms = contract_number(query, "slow");
    for (size_t piece = 0; piece < CONTRACT_PIECES; piece++) {
        size_t start = size * piece / CONTRACT_PIECES, end = size * (piece + 1) / CONTRACT_PIECES;
        FCGX_PutStr(body + start, (int)(end - start), request->out);
        if (slow_ms) {
            FCGX_FFlush(request->out);
            contract_wait(slow_ms / CONTRACT_PIECES);
        }
    }
    free(body);
}

void answer_all(void)
{
    FCGX_Request request;
    FCGX_Init();
    FCGX_InitRequest(&request, 0, 0);
    while (FCGX_Accept_r(&request) == 0) {
        answer(&request);
        FCGX_Finish_r(&request);
    }
    FCGX_Free(&request, 1);
}
