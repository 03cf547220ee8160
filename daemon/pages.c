/* Pages and the library that writes them; see pages.h. */
#include "daemon/pages.h"

#include "daemon/base/memory.h"
#include "daemon/base/paths.h"
#include "daemon/kernel/shared_memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PRELOAD "LD_PRELOAD="

/* ---- the library ---- */

static int find_library(char *ret_path, size_t size, struct problem *problem)
{
    int result = paths_part(PAGES_LIBRARY, ret_path, size, problem);
    if (result == 0 && strpbrk(ret_path, " :")) /* LD_PRELOAD is a list */
        return problem_set(problem, -EINVAL, "%s has a space or a colon in its path", ret_path);
    return result;
}

/* ---- the pool's page ---- */

static void describe_pool(struct page_pool *pool)
{
    pool->magic = PAGE_POOL_MAGIC;
    pool->version = PAGE_VERSION;
    pool->size = PAGE_POOL_BYTES;
    pool->idle_low = INT32_MAX;
}

int pages_open(struct pages *pages, struct problem *problem)
{
    void *memory;
    int result = find_library(pages->library, sizeof pages->library, problem);
    if (result)
        return result;
    result = shared_memory_new("fcgipool-pool", PAGE_POOL_BYTES, &memory, &pages->pool_fd);
    if (result) {
        pages->library[0] = '\0';
        return problem_set(problem, result, "shared memory: %s", strerror(-result));
    }
    pages->pool = memory;
    describe_pool(pages->pool);
    return 0;
}

void pages_close(struct pages *pages)
{
    shared_memory_free(pages->pool, PAGE_POOL_BYTES);
    if (pages->pool_fd >= 0)
        (void)close(pages->pool_fd);
    *pages = (struct pages)PAGES_INIT;
}

/* ---- a worker's page ---- */

static int new_page(const struct listener *listener, uint64_t incarnation, const struct pages_orders *orders,
                    struct page **ret_page, int *ret_fd)
{
    void *memory;
    struct stat status;
    if (fstat(listener->fd, &status) != 0)
        return -errno;
    int result = shared_memory_new(PAGES_NAME, PAGE_BYTES, &memory, ret_fd);
    if (result)
        return result;
    struct page *page = memory;
    page->about.magic = PAGE_MAGIC;
    page->about.version = PAGE_VERSION;
    page->about.size = PAGE_BYTES;
    page->about.incarnation = incarnation;
    page->about.listener_inode = status.st_ino;
    page->about.listener_device = status.st_dev;
    page->orders.max_requests = orders->max_requests;
    page->orders.timeout_ms = orders->timeout_ms;
    *ret_page = page;
    return 0;
}

/* `envp` with the library before whatever is preloaded already, and the descriptors of a page, if there is
 * one. */
static void make_environment(const struct pages *pages, char *const *envp, struct pages_start *start)
{
    size_t count = 0, kept = 0;
    const char *theirs = NULL;
    while (envp[count])
        count++;
    start->envp = memory_must(calloc(count + 3, sizeof *start->envp));
    for (size_t i = 0; i < count; i++) {
        if (strncmp(envp[i], PRELOAD, strlen(PRELOAD)) == 0)
            theirs = envp[i] + strlen(PRELOAD);
        else
            start->envp[kept++] = envp[i];
    }
    start->own[0] =
        memory_text("%s%s%s%s", PRELOAD, pages->library, theirs && *theirs ? ":" : "", theirs ? theirs : "");
    start->envp[kept++] = start->own[0];
    if (start->page)
        start->envp[kept] = start->own[1] =
            memory_text("%s=%d:%d", PAGE_VARIABLE, start->fds[0], start->fds[1]);
}

int pages_start(const struct pages *pages, const struct listener *listener, uint64_t incarnation,
                const struct pages_orders *orders, char *const *envp, struct pages_start *ret_start)
{
    struct pages_start start = {.fds = {-1, pages->pool_fd}};
    describe_pool(pages->pool); /* whatever a worker has made of it */
    int result = new_page(listener, incarnation, orders, &start.page, &start.fds[0]);
    if (result)
        return result;
    make_environment(pages, envp, &start);
    *ret_start = start;
    return 0;
}

void pages_preload(const struct pages *pages, char *const *envp, struct pages_start *ret_start)
{
    *ret_start = (struct pages_start){.fds = {-1, -1}};
    make_environment(pages, envp, ret_start);
}

void pages_start_fini(struct pages_start *start)
{
    if (!start->envp)
        return;
    shared_memory_free(start->page, PAGE_BYTES);
    (void)close(start->fds[0]);
    free(start->envp);
    free(start->own[0]);
    free(start->own[1]);
    *start = (struct pages_start){0};
}

void pages_drop(const struct pages *pages, struct page *page)
{
    if (!page)
        return;
    for (int i = 0; i < PAGE_ACCEPTORS; i++)
        if (__atomic_load_n(&page->acceptors[i].waiting, __ATOMIC_SEQ_CST) == 1)
            (void)__atomic_sub_fetch(&pages->pool->idle, 1, __ATOMIC_SEQ_CST);
    shared_memory_free(page, PAGE_BYTES);
}
