/* What workers and hooks are started with: program, arguments, environment; see conf_object.h. */
#include "daemon/base/memory.h"
#include "daemon/base/paths.h"
#include "daemon/conf/conf_object.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where execvp would look without a PATH. */
#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

/* What serves an application. */
#define CONF_HOST "fcgipool-host"

/* HOME, USER, LOGNAME, SHELL. */
#define PERSONAL 4

/* Of an array of strings, or of nothing. */
static char **make_argv(const json_t *strings)
{
    size_t count = json_array_size(strings);
    char **argv = memory_must(calloc(count + 1, sizeof *argv));
    for (size_t i = 0; i < count; i++)
        argv[i] = memory_must(strdup(json_string_value(json_array_get(strings, i))));
    return argv;
}

/* What of our environment says who we are. */
static bool is_personal(const char *entry, size_t length)
{
    static const char *const names[] = {"HOME", "USER", "LOGNAME", "SHELL", "XDG_RUNTIME_DIR"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i]) == length && memcmp(names[i], entry, length) == 0)
            return true;
    return false;
}

/* True when `entry` ("NAME=value") is not the workers', or set anew by `env`. */
static bool replaced(const struct conf *conf, const char *entry)
{
    size_t length = strcspn(entry, "=");
    return json_object_getn(conf->values[SETTING_ID_ENV], entry, length) != NULL ||
           (conf->changes_user && is_personal(entry, length));
}

/* What login would say of the workers' user, as far as it is known and `env` says nothing else. Returns how
 * many entries were added. */
static size_t add_personal(struct conf *conf, char **entries)
{
    const struct {
        const char *name, *value;
    } all[PERSONAL] = {{"HOME", conf->user.home},
                       {"USER", conf->user.name},
                       {"LOGNAME", conf->user.name},
                       {"SHELL", conf->user.shell}};
    size_t count = 0;
    for (size_t i = 0; i < PERSONAL; i++)
        if (all[i].value && all[i].value[0] && !json_object_get(conf->values[SETTING_ID_ENV], all[i].name))
            entries[count++] = memory_text("%s=%s", all[i].name, all[i].value);
    return count;
}

static void make_environment(struct conf *conf)
{
    json_t *env = conf->values[SETTING_ID_ENV];
    size_t count = 0, inherited = 0;
    const char *key;
    json_t *value;

    while (!conf->settings.clear_env && environ && environ[inherited])
        inherited++;
    conf->environment =
        memory_must(calloc(inherited + PERSONAL + json_object_size(env) + 1, sizeof *conf->environment));
    for (size_t i = 0; i < inherited; i++)
        if (!replaced(conf, environ[i]))
            conf->environment[count++] = memory_must(strdup(environ[i]));
    if (conf->changes_user && !conf->settings.clear_env)
        count += add_personal(conf, conf->environment + count);
    json_object_foreach(env, key, value)
    {
        conf->environment[count++] = memory_text("%s=%s", key, json_string_value(value));
    }
}

/* Where programs are looked up: of the workers, and ours. */
static const char *workers_path(const struct conf *conf)
{
    for (char **entry = conf->environment; *entry; entry++)
        if (strncmp(*entry, "PATH=", 5) == 0)
            return *entry + 5;
    return DEFAULT_PATH;
}

static const char *own_path(void)
{
    const char *path = getenv("PATH");
    return path ? path : DEFAULT_PATH;
}

static int check_program(const char *path)
{
    struct stat status;
    if (stat(path, &status) < 0)
        return -errno;
    if (S_ISDIR(status.st_mode))
        return -EISDIR;
    if (!S_ISREG(status.st_mode))
        return -EACCES;
    return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

/* As execvp: the first that can be executed. What is there but cannot be is told apart from what is nowhere.
 */
static int search_program(const struct conf *conf, const char *program, const char *directories,
                          char ret_path[static PATH_MAX])
{
    int result = -ENOENT;

    for (const char *directory = directories;; directory++) {
        char base[PATH_MAX], path[PATH_MAX], part[PATH_MAX];
        size_t length = strcspn(directory, ":");
        int wrote = snprintf(part, sizeof part, "%.*s", (int)length, directory);
        bool fits = wrote >= 0 && (size_t)wrote < sizeof part;
        if (fits && paths_absolute(conf->texts[SETTING_ID_CHDIR], part, base, sizeof base) == 0 &&
            paths_absolute(base, program, path, sizeof path) == 0) {
            int r = check_program(path);
            if (r == 0) {
                memcpy(ret_path, path, strlen(path) + 1);
                return 0;
            }
            if (r == -EACCES)
                result = r;
        }
        directory += length;
        if (!*directory)
            return result;
    }
}

static int find_program(const struct conf *conf, const char *program, const char *directories, char *ret_path,
                        size_t size)
{
    char path[PATH_MAX];
    int r = -ENOENT;

    if (!program[0])
        return r;
    if (!strchr(program, '/'))
        r = search_program(conf, program, directories, path);
    else if ((r = paths_absolute(conf->texts[SETTING_ID_CHDIR], program, path, sizeof path)) == 0)
        r = check_program(path);
    if (r == 0)
        r = paths_absolute("/", path, ret_path, size);
    return r;
}

int conf_program(const struct conf *conf, char *ret_path, size_t size)
{
    return find_program(conf, conf->argv[0], workers_path(conf), ret_path, size);
}

int conf_hook_program(const struct conf *conf, enum setting_id hook, char *ret_path, size_t size)
{
    return find_program(conf, conf_hook(conf, hook)[0], own_path(), ret_path, size);
}

static void report_program(struct conf *conf, struct problems *problems, enum setting_id id,
                           const char *program, const char *directories, int error)
{
    char path[PATH_MAX];
    const char *why = error == -EACCES   ? "is not an executable file"
                      : error == -EISDIR ? "is a directory, not a program"
                      : error == -ENOENT ? "does not exist"
                                         : strerror(-error);

    if (!program[0])
        conf_fault(conf, problems, id, "the program (the first string) is empty");
    else if (!strchr(program, '/'))
        conf_fault(conf, problems, id, "\"%s\" is %s PATH (%s)", program,
                   error == -ENOENT ? "not in" : "not executable in", directories);
    else if (paths_absolute(conf->texts[SETTING_ID_CHDIR], program, path, sizeof path) == 0)
        conf_fault(conf, problems, id, "%s %s", path, why);
    else
        conf_fault(conf, problems, id, "the path is longer than %d bytes", PATH_MAX - 1);
}

/* `program` NULL: the setting is not given, or not right. */
static void look_up(struct conf *conf, struct problems *problems, enum setting_id id, const char *program,
                    const char *directories)
{
    char path[PATH_MAX];
    if (!program || conf->places[id].faulty)
        return;
    /* Without the directory, the program's absence is no news. */
    bool relative_to_nowhere =
        conf->places[SETTING_ID_CHDIR].faulty && program[0] != '/' && strchr(program, '/');
    if (relative_to_nowhere)
        return;
    int r = find_program(conf, program, directories, path, sizeof path);
    if (r < 0)
        report_program(conf, problems, id, program, directories, r);
}

static void resolve_hooks(struct conf *conf, struct problems *problems)
{
    for (enum setting_id id = SETTING_ID_HOOK_ON_STARTING; id <= SETTING_ID_HOOK_ON_EXIT; id++) {
        if (!conf->values[id])
            continue;
        char **argv = conf->hooks[id - SETTING_ID_HOOK_ON_STARTING] = make_argv(conf->values[id]);
        look_up(conf, problems, id, argv[0], own_path());
    }
}

/* ---- an application ---- */

/* The host's command line. */
static char **make_host_argv(const struct conf *conf, const char *host)
{
    const struct settings *settings = &conf->settings;
    char *argv[] = {
        memory_must(strdup(host)),
        memory_text("--class=%s", conf->texts[SETTING_ID_WORKER_CLASS]),
        memory_text("--protocol=%s", conf->texts[SETTING_ID_PROTOCOL]),
        memory_text("--threads=%" PRId64, settings->threads),
        memory_text("--connections=%" PRId64, settings->worker_connections),
        memory_must(strdup(conf->texts[SETTING_ID_APP])),
        NULL,
    };
    return memcpy(memory_must(malloc(sizeof argv)), argv, sizeof argv);
}

static void resolve_app(struct conf *conf, struct problems *problems)
{
    char host[PATH_MAX] = "";
    struct problem problem;
    struct stat status;
    enum setting_id id = SETTING_ID_APP;
    const char *app = conf->texts[id];

    if (conf_given(conf, SETTING_ID_COMMAND))
        conf_fault(conf, problems, SETTING_ID_COMMAND,
                   "there is an \"app\" to be served, too: only one can be");
    if (paths_part(CONF_HOST, host, sizeof host, &problem))
        conf_fault(conf, problems, id, "applications cannot be served: %s", problem.text);
    if (!conf->places[id].faulty && stat(app, &status) != 0)
        conf_fault(conf, problems, id, "%s: %s", app, strerror(errno));
    else if (!conf->places[id].faulty && !S_ISREG(status.st_mode))
        conf_fault(conf, problems, id, "%s is not a file", app);
    conf->argv = conf->places[id].faulty ? make_argv(NULL) : make_host_argv(conf, host);
}

static void warn_of_no_app(struct conf *conf, struct problems *problems)
{
    static const enum setting_id ids[] = {SETTING_ID_WORKER_CLASS, SETTING_ID_threads,
                                          SETTING_ID_worker_connections, SETTING_ID_preload_app};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        if (conf_given(conf, ids[i]))
            conf_warn(conf, problems, ids[i], "has no effect without app");
}

static void resolve_command(struct conf *conf, struct problems *problems)
{
    enum setting_id id = SETTING_ID_COMMAND;

    conf->argv = make_argv(conf->values[id]);
    if (!conf_given(conf, id))
        conf_fault(conf, problems, id,
                   "missing: the program and arguments of a worker, like [\"./app.fcgi\"]");
    look_up(conf, problems, id, conf->argv[0], workers_path(conf));
    warn_of_no_app(conf, problems);
}

void conf_resolve_command(struct conf *conf, struct problems *problems)
{
    make_environment(conf);
    if (conf_given(conf, SETTING_ID_APP))
        resolve_app(conf, problems);
    else
        resolve_command(conf, problems);
    resolve_hooks(conf, problems);
}
