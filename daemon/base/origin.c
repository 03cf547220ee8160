/* What this process was started with; see origin.h. */
#include "daemon/base/origin.h"

#include "daemon/base/memory.h"
#include "daemon/base/paths.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

static struct origin origin;

static char **copy_all(char *const *strings)
{
    size_t count = 0;
    while (strings[count])
        count++;
    char **copies = memory_must(calloc(count + 1, sizeof *copies));
    for (size_t i = 0; i < count; i++)
        copies[i] = memory_must(strdup(strings[i]));
    return copies;
}

/* Whether it is the program that runs here. */
static bool is_ours(const char *path)
{
    struct stat found, running;
    return stat(path, &found) == 0 && stat("/proc/self/exe", &running) == 0 &&
           found.st_dev == running.st_dev && found.st_ino == running.st_ino;
}

static bool find_in_path(const char *name, char *ret_path, size_t size)
{
    const char *directory = getenv("PATH");
    while (directory) {
        size_t length = strcspn(directory, ":");
        char *path __attribute__((cleanup(memory_free_text))) =
            memory_text("%.*s/%s", length ? (int)length : 1, length ? directory : ".", name);
        if (paths_absolute_here(path, ret_path, size) == 0 && is_ours(ret_path))
            return true;
        directory = directory[length] ? directory + length + 1 : NULL;
    }
    return false;
}

/* By its name, not by what that leads to: the name may lead to another program tomorrow. */
static char *find_program(const char *name)
{
    char path[PATH_MAX];
    bool found =
        name && (strchr(name, '/') ? paths_absolute_here(name, path, sizeof path) == 0 && is_ours(path)
                                   : find_in_path(name, path, sizeof path));
    if (!found) {
        ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
        path[length > 0 ? length : 0] = '\0';
    }
    return memory_must(strdup(path));
}

void origin_init(char **argv)
{
    origin = (struct origin){
        .program = find_program(argv[0]),
        .directory = get_current_dir_name(),
        .argv = copy_all(argv),
        .environment = copy_all(environ),
    };
}

const struct origin *origin_get(void)
{
    return &origin;
}
