/* Who may connect to a TCP address; see conf_object.h. Each item is known to be good (conf_collect.c). */
#include "daemon/base/memory.h"
#include "daemon/conf/conf_object.h"
#include "daemon/kernel/address.h"
#include "daemon/kernel/filter.h"
#include "pool/assert.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void parse_clients(struct conf *conf, const json_t *list)
{
    struct problem problem;
    size_t i;
    const json_t *item;

    conf->clients = memory_must(calloc(json_array_size(list), sizeof *conf->clients));
    json_array_foreach(list, i, item)
    {
        int r = cidr_parse(json_string_value(item), &conf->clients[i], &problem);
        ASSERT(r == 0);
        conf->client_count++;
    }
}

/* Whether the kernel has room for a program of ours; asked with a socket that nobody uses. */
static bool fits(struct sock_filter *code, int length)
{
    struct sock_fprog program = {.len = (unsigned short)length, .filter = code};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool full = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0 &&
                errno == ENOMEM;
    if (fd >= 0)
        (void)close(fd);
    return !full;
}

static void check_length(struct conf *conf, struct problems *problems)
{
    struct sock_filter code[FILTER_MAX];
    /* The longer of the two that will be needed. */
    int length = filter_build(conf->clients, conf->client_count, true, code, FILTER_MAX);
    if (length < 0 || !fits(code, length))
        conf_fault(conf, problems, SETTING_ID_ALLOWED_CLIENTS,
                   "%zu networks are too many for the kernel's filter; use larger networks, or raise "
                   "net.core.optmem_max",
                   conf->client_count);
}

/* An address of one family, and networks of the other. */
static void warn_of_nobody(struct conf *conf, struct problems *problems)
{
    struct address address;
    struct problem problem;
    const char *listen = conf->texts[SETTING_ID_LISTEN];

    if (conf->places[SETTING_ID_LISTEN].faulty || address_parse(listen, &address, &problem) != 0 ||
        address.storage.ss_family == AF_UNIX || address.dual_stack)
        return;
    for (size_t i = 0; i < conf->client_count; i++)
        if (conf->clients[i].family == address.storage.ss_family)
            return;
    conf_warn(conf, problems, SETTING_ID_ALLOWED_CLIENTS, "none of these can connect to %s, which is IPv%c",
              listen, address.storage.ss_family == AF_INET ? '4' : '6');
}

void conf_resolve_clients(struct conf *conf, struct problems *problems)
{
    const json_t *list = conf->values[SETTING_ID_ALLOWED_CLIENTS];
    if (!list || conf->places[SETTING_ID_ALLOWED_CLIENTS].faulty)
        return;
    parse_clients(conf, list);
    check_length(conf, problems);
    warn_of_nobody(conf, problems);
}

const struct cidr *conf_allowed_clients(const struct conf *conf, size_t *ret_count)
{
    *ret_count = conf->client_count;
    return conf->clients;
}
