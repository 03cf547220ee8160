/* The control socket of a pool whose control file may be broken or gone; see conf_control_socket in conf.h.
 */
#include "daemon/base/memory.h"
#include "daemon/base/paths.h"
#include "daemon/conf/conf_object.h"
#include "daemon/conf/conf_read.h"

#include <limits.h>
#include <string.h>

/* What could be read of a control file. */
struct lenient {
    char *text;
    struct conf_where where;
};

static void lenient_fini(struct lenient *lenient)
{
    conf_where_fini(&lenient->where);
    free(lenient->text);
}

static void lenient_init(struct lenient *lenient, const char *file)
{
    struct problem ignored;
    size_t length;

    *lenient = (struct lenient){0};
    if (conf_read(file, &lenient->text, &length, &ignored) < 0)
        return;
    /* Whatever was scanned before a fault serves. */
    if (conf_where_init(&lenient->where, lenient->text, length) < 0)
        return;
}

/* The string that the top-level `key` has, on the heap, or NULL. */
static char *lenient_string(const struct lenient *lenient, const char *key)
{
    int node = conf_where_member(&lenient->where, 0, key);
    if (node < 0 || lenient->where.nodes[node].end == 0)
        return NULL;
    const struct conf_where_node *found = &lenient->where.nodes[node];
    json_t *value =
        json_loadb(lenient->text + found->begin, found->end - found->begin, JSON_DECODE_ANY, NULL);
    const char *string = json_string_value(value);
    char *copy = string && string[0] ? memory_must(strdup(string)) : NULL;
    json_decref(value);
    return copy;
}

/* A path relative to `chdir`, as conf_load takes it. */
static int from_chdir(const struct lenient *lenient, const char *file, const char *path, char *ret_path,
                      size_t size)
{
    char absolute[PATH_MAX], directory[PATH_MAX], base[PATH_MAX];
    char *chdir __attribute__((cleanup(memory_free_text))) = lenient_string(lenient, "chdir");

    int r = paths_absolute_here(file, absolute, sizeof absolute);
    if (r == 0)
        r = paths_directory(absolute, directory, sizeof directory);
    if (r == 0)
        r = paths_absolute(directory, chdir ? chdir : ".", base, sizeof base);
    return r < 0 ? r : paths_absolute(base, path, ret_path, size);
}

int conf_control_socket(const char *file, char *ret_path, size_t size)
{
    struct lenient lenient __attribute__((cleanup(lenient_fini)));
    char stem[NAME_MAX + 1];
    const char *why;

    lenient_init(&lenient, file);
    char *socket __attribute__((cleanup(memory_free_text))) = lenient_string(&lenient, "control_socket");
    char *name __attribute__((cleanup(memory_free_text))) = lenient_string(&lenient, "name");
    if (socket)
        return from_chdir(&lenient, file, socket, ret_path, size);
    if (name && conf_name_valid(name, &why))
        return paths_control_socket(name, ret_path, size);
    int r = paths_stem(file, stem, sizeof stem);
    return r < 0 ? r : paths_control_socket(stem, ret_path, size);
}
