/*
 * A page that tells who answered: an ordinary libfcgi program, with nothing in it that knows of fcgipool.
 * cc -o hello hello.c -lfcgi
 */
#include <fcgiapp.h>
#include <stdio.h>
#include <unistd.h>

static const char *param(const FCGX_Request *request, const char *name)
{
    const char *value = FCGX_GetParam(name, request->envp);
    return value ? value : "";
}

/* What the client sent must not become markup. */
static void put_escaped(const char *text, FCGX_Stream *to)
{
    for (; *text; text++)
        switch (*text) {
        case '<':
            FCGX_PutS("&lt;", to);
            break;
        case '>':
            FCGX_PutS("&gt;", to);
            break;
        case '&':
            FCGX_PutS("&amp;", to);
            break;
        default:
            FCGX_PutChar(*text, to);
        }
}

static void put_row(const char *name, const char *value, FCGX_Stream *to)
{
    FCGX_FPrintF(to, "<tr><th>%s</th><td>", name);
    put_escaped(value, to);
    FCGX_PutS("</td></tr>\n", to);
}

/* The whole body is read, whatever its announced length. */
static unsigned long long body_size(FCGX_Stream *from)
{
    char buffer[16384];
    unsigned long long size = 0;
    for (int got; (got = FCGX_GetStr(buffer, sizeof buffer, from)) > 0;)
        size += (unsigned long long)got;
    return size;
}

static void answer(FCGX_Request *request, unsigned long long count)
{
    char pid[24], served[24], size[24];
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    snprintf(served, sizeof served, "%llu", count);
    snprintf(size, sizeof size, "%llu", body_size(request->in));

    FCGX_Stream *to = request->out;
    FCGX_PutS("Content-Type: text/html; charset=utf-8\r\n\r\n", to);
    FCGX_PutS(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><title>fcgipool demo</title>\n"
        "<style>body{font:1.1em sans-serif;margin:3em}th{text-align:left;padding-right:2em}</style></head>\n"
        "<body><h1>Hello from fcgipool</h1>\n<table>\n",
        to);
    put_row("Answered by process", pid, to);
    put_row("Requests it has served", served, to);
    put_row("Method", param(request, "REQUEST_METHOD"), to);
    put_row("URI", param(request, "REQUEST_URI"), to);
    put_row("Bytes in the body", size, to);
    FCGX_PutS("</table></body></html>\n", to);
}

int main(void)
{
    FCGX_Request request;
    if (FCGX_Init() != 0 || FCGX_InitRequest(&request, 0, 0) != 0)
        return 1;
    for (unsigned long long count = 1; FCGX_Accept_r(&request) == 0; count++) {
        answer(&request, count);
        FCGX_Finish_r(&request);
    }
    FCGX_Free(&request, 1);
    return 0;
}
