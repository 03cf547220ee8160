/*
 * The host as a template (preload_app): it has loaded the application, and instead of serving it forks
 * workers off itself as the master orders (pool/host.h), each with the application in memory already. Each is
 * forked twice, so that it is not a child of the template's, but of the nearest subreaper: the master.
 */
#ifndef FCGIPOOL_POOL_WORKER_HOST_TEMPLATE_H
#define FCGIPOOL_POOL_WORKER_HOST_TEMPLATE_H

/* Before the application is loaded: it may start programs, and change the environment. */
void template_init(int socket);

/* Returns in each worker, which is set up as the master would have done it before exec. In the template it
 * does not return: that exits when the master has gone, or wants no more workers of it. */
void template_serve(int socket);

#endif
