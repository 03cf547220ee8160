/* Memory limits of control groups; see cgroup.h. */
#include "daemon/kernel/cgroup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* No limit, as version 1 has it, is the largest number of whole pages. */
#define LIMIT_MAX (UINT64_C(1) << 60)

static const struct names {
    const char *used, *limits[2], *droppable;
} names[] = {
    [false] = {"memory.current", {"memory.high", "memory.max"}, "inactive_file"},
    [true] = {"memory.usage_in_bytes", {"memory.limit_in_bytes", NULL}, "total_inactive_file"},
};

/* ---- where it is ---- */

/* Whether `word` is one of those in `list`, which are separated by commas. */
static bool has_word(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; (at = strstr(at, word)) != NULL; at += length)
        if ((at == list || at[-1] == ',') && (at[length] == ',' || at[length] == '\0'))
            return true;
    return false;
}

/* The path of our group in the hierarchy with this controller ("": version 2). */
static bool find_path(const char *controller, char ret_path[static PATH_MAX])
{
    char line[PATH_MAX + 256], controllers[256];
    FILE *stream = fopen("/proc/self/cgroup", "re");
    bool found = false;
    while (stream && !found && fgets(line, sizeof line, stream)) {
        char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
        if (!path)
            continue;
        path[strcspn(path, "\n")] = '\0';
        snprintf(controllers, sizeof controllers, "%.*s", (int)(path - list - 1), list + 1);
        found = *controller ? has_word(controllers, controller) : *controllers == '\0';
        if (found)
            snprintf(ret_path, PATH_MAX, "%s", path + 1);
    }
    if (stream)
        fclose(stream);
    return found;
}

/* The folder of `path`: below the mount point, which may itself be a group (`root`) further down. */
static void set_folder(struct cgroup *cgroup, const char *root, const char *mount, const char *path)
{
    size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);
    bool below = strncmp(path, root, length) == 0 && (path[length] == '/' || path[length] == '\0');
    const char *rest = below ? path + length : "";
    cgroup->top = strlen(mount);
    snprintf(cgroup->folder, sizeof cgroup->folder, "%s%s", mount, strcmp(rest, "/") == 0 ? "" : rest);
}

static bool find_folder(struct cgroup *cgroup, const char *path)
{
    char line[2 * PATH_MAX], root[PATH_MAX], mount[PATH_MAX], type[64], options[512];
    FILE *stream = fopen("/proc/self/mountinfo", "re");
    while (stream && cgroup->folder[0] == '\0' && fgets(line, sizeof line, stream)) {
        const char *rest = strstr(line, " - ");
        if (!rest || sscanf(line, "%*s %*s %*s %4095s %4095s", root, mount) != 2 ||
            sscanf(rest, " - %63s %*s %511s", type, options) != 2)
            continue;
        if (cgroup->first ? strcmp(type, "cgroup") == 0 && has_word(options, "memory")
                          : strcmp(type, "cgroup2") == 0)
            set_folder(cgroup, root, mount, path);
    }
    if (stream)
        fclose(stream);
    return cgroup->folder[0] != '\0';
}

void cgroup_find(struct cgroup *ret_cgroup)
{
    char path[PATH_MAX];
    *ret_cgroup = (struct cgroup){.first = true};
    if (find_path("memory", path) && find_folder(ret_cgroup, path))
        return;
    ret_cgroup->first = false;
    if (find_path("", path))
        (void)find_folder(ret_cgroup, path);
}

/* ---- what it says ---- */

/* The number in a file, or behind a word in it (`word`: NULL, the first). "max" and what is missing: false.
 */
static bool read_number(const char *folder, size_t length, const char *name, const char *word,
                        uint64_t *ret_number)
{
    char path[PATH_MAX + 32], line[256];
    bool found = false;
    snprintf(path, sizeof path, "%.*s/%s", (int)length, folder, name);
    FILE *stream = fopen(path, "re");
    while (stream && !found && fgets(line, sizeof line, stream)) {
        const char *text = line;
        if (word && (strncmp(line, word, strlen(word)) != 0 || line[strlen(word)] != ' '))
            continue;
        if (word)
            text += strlen(word);
        found = sscanf(text, "%" SCNu64, ret_number) == 1;
    }
    if (stream)
        fclose(stream);
    return found;
}

static bool read_level(const struct cgroup *cgroup, size_t length, uint64_t *ret_used, uint64_t *ret_limit)
{
    const struct names *name = &names[cgroup->first];
    uint64_t limit, droppable;
    *ret_limit = LIMIT_MAX;
    for (size_t i = 0; i < 2 && name->limits[i]; i++)
        if (read_number(cgroup->folder, length, name->limits[i], NULL, &limit) && limit < *ret_limit)
            *ret_limit = limit;
    if (*ret_limit == LIMIT_MAX || !read_number(cgroup->folder, length, name->used, NULL, ret_used))
        return false;
    if (read_number(cgroup->folder, length, "memory.stat", name->droppable, &droppable))
        *ret_used -= droppable < *ret_used ? droppable : *ret_used;
    return true;
}

static uint64_t room(uint64_t used, uint64_t limit)
{
    return limit > used ? limit - used : 0;
}

int cgroup_memory(const struct cgroup *cgroup, uint64_t *ret_used, uint64_t *ret_limit)
{
    int result = -ENOENT;
    for (size_t length = strlen(cgroup->folder); length > 0 && length >= cgroup->top; length--) {
        uint64_t used, limit;
        if (cgroup->folder[length] != '/' && cgroup->folder[length] != '\0')
            continue;
        if (!read_level(cgroup, length, &used, &limit) ||
            (result == 0 && room(used, limit) >= room(*ret_used, *ret_limit)))
            continue;
        *ret_used = used;
        *ret_limit = limit;
        result = 0;
    }
    return result;
}
