/* The echo contract over libfcgi's FCGX interface, for all workers that use it. */
#ifndef TESTS_SYSTEM_ANSWER_H
#define TESTS_SYSTEM_ANSWER_H

#include <fcgiapp.h>

/* Answers one request that was accepted. The caller finishes it. */
void answer(FCGX_Request *request);

/* Accepts and answers until libfcgi says that it is time to leave. */
void answer_all(void);

#endif
