/* A host in this process; see hosted.h. */
#include "pool/worker/hosted.h"

#include "pool/worker/connection.h"
#include "pool/worker/process.h"

__attribute__((visibility("default"))) const struct hosted_link *fcgipool_preload_host(void)
{
    static struct hosted_link link = {.begun = connection_count, .ended = connection_measure};
    if (!process.page)
        return NULL;
    process.hosted = true;
    link.page = process.page;
    __atomic_or_fetch(&process.page->report.flags, PAGE_ENDS_OVERDUE, __ATOMIC_SEQ_CST);
    return &link;
}

__attribute__((visibility("default"))) void fcgipool_preload_attach(int page_fd, int pool_fd)
{
    process_attach(page_fd, pool_fd);
}
