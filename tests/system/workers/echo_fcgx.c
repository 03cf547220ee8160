/* The well-behaved worker: the echo contract over FCGX_Accept_r. Also linked statically, as echo_static. */
#include "answer.h"

int main(void)
{
    answer_all();
    return 0;
}
