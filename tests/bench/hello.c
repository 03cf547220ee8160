/* The least that a program does with libfcgi. */
#include <fcgiapp.h>

int main(void)
{
    FCGX_Request request;
    FCGX_Init();
    FCGX_InitRequest(&request, 0, 0);
    while (FCGX_Accept_r(&request) == 0)
        FCGX_PutS("Content-Type: text/plain\r\n\r\nHello, world\n", request.out);
    return 0;
}
