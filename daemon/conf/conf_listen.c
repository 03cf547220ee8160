/* The address that the pool listens on; see conf_object.h. */
#include "daemon/base/memory.h"
#include "daemon/base/paths.h"
#include "daemon/conf/conf_object.h"
#include "daemon/kernel/address.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* More than any process may have open (fs.nr_open), and an int. */
#define DESCRIPTOR_DIGITS 9

static bool is_path(const char *text)
{
    return strncmp(text, "unix:", 5) == 0 && text[5] != '@';
}

/* Gives "unix:/absolute/path" for a path, and other addresses as they are. */
static int make_absolute(const struct conf *conf, const char *given, char **ret_text)
{
    char path[PATH_MAX];
    if (!is_path(given)) {
        *ret_text = memory_must(strdup(given));
        return 0;
    }
    int r = paths_absolute(conf->texts[SETTING_ID_CHDIR], given + 5, path, sizeof path);
    if (r < 0)
        return r;
    *ret_text = memory_text("unix:%s", path);
    return 0;
}

static enum conf_listen kind_of(const char *text)
{
    if (strcmp(text, "systemd") == 0)
        return CONF_LISTEN_SYSTEMD;
    return strncmp(text, "fd:", 3) == 0 ? CONF_LISTEN_FD : CONF_LISTEN_ADDRESS;
}

static bool is_descriptor(const char *digits)
{
    size_t length = strspn(digits, "0123456789");
    return length > 0 && length <= DESCRIPTOR_DIGITS && digits[length] == '\0';
}

/* What is clear from the text alone. */
static bool refuse_form(struct conf *conf, struct problems *problems, const char *given)
{
    enum setting_id id = SETTING_ID_LISTEN;

    if (kind_of(given) == CONF_LISTEN_FD && !is_descriptor(given + 3))
        conf_fault(conf, problems, id, "there is no number of a descriptor behind \"fd:\"");
    else if (given[0] == '/' || strncmp(given, "./", 2) == 0)
        conf_fault(conf, problems, id, "a path needs \"unix:\" before it: \"unix:%s\"", given);
    else if (strcmp(given, "unix:") == 0)
        conf_fault(conf, problems, id, "there is no path behind \"unix:\"");
    else
        return false;
    return true;
}

static void resolve_address(struct conf *conf, struct problems *problems)
{
    enum setting_id id = SETTING_ID_LISTEN;
    const char *given = json_string_value(conf->values[id]);
    char *text __attribute__((cleanup(memory_free_text))) = NULL;
    struct address address;
    struct problem problem;

    if (!conf_given(conf, id))
        conf_fault(conf, problems, id,
                   "missing: the address that the web server connects to, like "
                   "\"unix:/run/app.sock\" or \"127.0.0.1:9000\"");
    if (!given || refuse_form(conf, problems, given))
        return;
    if (make_absolute(conf, given, &text) < 0) {
        conf_fault(conf, problems, id, "the path is longer than %d bytes", PATH_MAX - 1);
        return;
    }
    size_t length = strlen(text) - strlen("unix:");
    if (is_path(text) && length > CONF_SUN_PATH_MAX)
        conf_fault(conf, problems, id, "the path %s has %zu bytes; a unix socket takes at most %d", text + 5,
                   length, CONF_SUN_PATH_MAX);
    else if (kind_of(text) == CONF_LISTEN_ADDRESS && address_parse(text, &address, &problem) < 0)
        conf_fault(conf, problems, id, "%s", problem.text);
    conf->texts[id] = text;
    text = NULL;
}

static void warn_of_no_effect(struct conf *conf, struct problems *problems, const enum setting_id *ids,
                              size_t count, const char *why)
{
    for (size_t i = 0; i < count; i++)
        if (conf_given(conf, ids[i]))
            conf_warn(conf, problems, ids[i], "has no effect: \"%s\" is not %s",
                      conf->texts[SETTING_ID_LISTEN], why);
}

/* Permissions mean nothing to TCP and to abstract sockets, and those of a socket that others made are not
 * ours to change; networks mean nothing to unix sockets. Who sets them expects protection. */
static void warn_of_other_kinds(struct conf *conf, struct problems *problems)
{
    static const enum setting_id of_paths[] = {SETTING_ID_listen_mode, SETTING_ID_LISTEN_OWNER,
                                               SETTING_ID_LISTEN_GROUP};
    static const enum setting_id of_tcp[] = {SETTING_ID_defer_accept, SETTING_ID_ALLOWED_CLIENTS};
    const char *text = conf->texts[SETTING_ID_LISTEN];

    if (!text || conf->places[SETTING_ID_LISTEN].faulty)
        return;
    if (!is_path(text))
        warn_of_no_effect(conf, problems, of_paths, sizeof of_paths / sizeof of_paths[0],
                          kind_of(text) == CONF_LISTEN_ADDRESS ? "a path" : "a socket that we make");
    if (strncmp(text, "unix:", 5) == 0)
        warn_of_no_effect(conf, problems, of_tcp, sizeof of_tcp / sizeof of_tcp[0], "a TCP address");
}

void conf_resolve_listen(struct conf *conf, struct problems *problems)
{
    resolve_address(conf, problems);
    warn_of_other_kinds(conf, problems);
}

enum conf_listen conf_listen(const struct conf *conf, int *ret_fd)
{
    const char *text = conf->texts[SETTING_ID_LISTEN];
    enum conf_listen kind = kind_of(text);
    if (kind == CONF_LISTEN_FD && ret_fd)
        *ret_fd = (int)strtol(text + 3, NULL, 10);
    return kind;
}
